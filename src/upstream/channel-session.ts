import type { UpstreamSettings } from '../core/config.ts';
import type { Envelope } from '../core/envelope.ts';
import { METHOD_UNKNOWN, SESSION_UNKNOWN, UPSTREAM_BUSY, UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_INVALID } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { Health, InFlight, ReplySink, RequestOptions } from '../core/upstream.ts';
import type { ClientHello, Listening, SessionAgreement, SessionPlace, StreamSink, UpstreamSession } from '../core/upstream-session.ts';
import { changedList } from '../mcp/list-request.ts';
import { LATEST_LEGACY_REVISION, RESUMABLE_REVISIONS } from '../mcp/revisions.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import type { UpstreamMessage } from '../mcp/upstream-message.ts';
import type { Channel, Connector } from './channel.ts';
import type { DeadlinesOf } from './deadlines.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';
import type { UpstreamDeps } from './deps.ts';
import { cancelledNotification, initializeFor, readInitializeReply } from './handshake.ts';
import { KeptReply } from './kept-reply.ts';
import { KeptStreams } from './kept-streams.ts';
import { PendingTable } from './pending.ts';
import type { PendingEntry } from './pending.ts';
import {
  CANCELLED,
  cancelledBy,
  internalId,
  notificationToUpstream,
  PROGRESS,
  progressToClient,
  replyToClient,
  toUpstream,
} from './rewrite.ts';

const MAX_PENDING = 1000;
const DEFAULT_GRACE_MS = 2000;

/** What a session needs of the upstream that it belongs to. */
export interface ChannelSessionHost {
  readonly settings: UpstreamSettings;
  readonly connector: Connector;
  readonly deps: UpstreamDeps;
  readonly deadlinesOf: DeadlinesOf;
  /** Whether there is room for one more of this caller; then it is found by its place until `ended`. Not for one that is over meanwhile. */
  admit(session: ChannelSession, principalKey: string): Promise<boolean>;
  /** Nothing is behind the session any more. */
  ended(session: ChannelSession): void;
  /** What was behind it is being ended. */
  stopping(session: ChannelSession, over: Promise<void>): void;
}

/**
 * One client's own session with a server behind a channel of its own: a child process, a socket. Nobody else speaks there, so what the server
 * asks has one addressee. Requests are numbered anew all the same, because a client may use an id twice. Lives in this worker.
 */
export class ChannelSession implements UpstreamSession {
  agreement: SessionAgreement | null = null;
  place: SessionPlace | null = null;
  /** When its client was last heard. */
  usedMs: number;
  readonly #host: ChannelSessionHost;
  readonly #hello: ClientHello;
  /** Names the session, to whoever holds its place. */
  readonly placeBytes: Buffer;
  readonly #pending: PendingTable;
  #principalKey = '';
  #streams: KeptStreams = new KeptStreams({ memory: null, isPrimed: false });
  #channel: Channel | null = null;
  #opening: PendingEntry | null = null;
  #isOver = false;

  constructor(host: ChannelSessionHost, hello: ClientHello, placeBytes: Buffer) {
    this.#host = host;
    this.#hello = hello;
    this.placeBytes = placeBytes;
    this.usedMs = host.deps.clock.nowMs();
    this.#pending = new PendingTable({
      clock: host.deps.clock,
      maxEntries: MAX_PENDING,
      deadlinesOf: host.deadlinesOf,
      onExpired: (entry, deadline) => this.#onExpired(entry, deadline),
    });
  }

  /** Of its child; null for a channel without one. */
  get pid(): number | null {
    return this.#channel?.pid ?? null;
  }

  /** Nothing is under way, and nobody listens. */
  get isIdle(): boolean {
    return this.inFlight === 0 && !this.#streams.isRead;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    if (this.#isOver) return SESSION_UNKNOWN;
    this.#touch();
    if (this.place === null) return this.#begin(message, options.principalKey, sink);
    const stream = this.#streams.beginReply();
    const reply = new KeptReply(stream, sink);
    const entry = this.#pending.add(message, '', reply);
    if (entry === null || !this.#send(toUpstream(message, entry))) {
      if (entry !== null) this.#pending.remove(entry);
      stream.forget();
      return UPSTREAM_BUSY;
    }
    // The server may say or ask something any time.
    queueMicrotask(() => this.#stream(entry));
    return reply.attach(entry);
  }

  notify(message: Envelope, _options: RequestOptions, taken?: () => void): Refusal | null {
    if (this.#isOver) return SESSION_UNKNOWN;
    this.#touch();
    const cancelled = cancelledBy(message, '', this.#pending);
    const bytes = message.method === CANCELLED ? notificationToUpstream(message, cancelled) : message.bytes;
    if (bytes !== null && !this.#send(bytes)) return UPSTREAM_BUSY;
    if (cancelled !== null) this.#pending.cancel(cancelled);
    taken?.();
    return null;
  }

  respond(message: Envelope): Refusal | null {
    if (this.#isOver) return SESSION_UNKNOWN;
    this.#touch();
    return this.#send(message.bytes) ? null : UPSTREAM_BUSY;
  }

  listen(lastEventId: string, _options: RequestOptions, sink: StreamSink): Listening | Refusal {
    if (this.#isOver) return SESSION_UNKNOWN;
    this.#touch();
    return this.#streams.listen(lastEventId, sink);
  }

  /** The notification itself comes here, from whatever worker, and tells the server as well. */
  cancelled(): void {}

  close(closed?: () => void): void {
    if (this.#isOver) return closed?.();
    void this.stop('its client ended the session').then(closed);
  }

  /** Ends what is behind it in good order. */
  async stop(reason: string): Promise<void> {
    const channel = this.#channel;
    this.#end(UPSTREAM_DOWN, reason);
    if (channel === null) return;
    const over = channel.stop(this.#host.deps.stopGraceMs ?? DEFAULT_GRACE_MS);
    this.#host.stopping(this, over);
    await over;
  }

  #begin(message: Envelope, principalKey: string, sink: ReplySink): InFlight | Refusal {
    if (message.method !== 'initialize' || this.#opening !== null) return METHOD_UNKNOWN;
    if (this.#host.connector.refuse() !== null) return UPSTREAM_DOWN;
    this.#principalKey = principalKey;
    this.#opening = this.#pending.add(message, '', sink);
    if (this.#opening === null) return UPSTREAM_BUSY;
    void this.#host.admit(this, principalKey).then((isAdmitted) => this.#onAdmitted(isAdmitted));
    return this.#opening;
  }

  #onAdmitted(isAdmitted: boolean): void {
    if (!isAdmitted) return this.#end(UPSTREAM_BUSY, 'there are as many sessions as there may be, and all are in use');
    const made = this.#connect();
    if (typeof made === 'string') return this.#end(UPSTREAM_DOWN, made);
    this.#channel = made;
    // The primary must know of the child, to end it should this worker be killed.
    this.#host.deps.events.childrenChanged(this.#host.settings.name);
    if (made.isOpen) this.#hail();
  }

  #connect(): Channel | string {
    const { connector, deps, settings } = this.#host;
    return connector.connect({
      onOpen: () => this.#hail(),
      onMessage: (bytes) => this.#onMessage(bytes),
      onUndelivered: (bytes, detail, health) => this.#onUndelivered(bytes, detail, health),
      onNoise: (kind) => deps.events.noise(settings.name, kind),
      onStderr: (line) => deps.events.stderrLine(settings.name, line),
      onGone: (reason) => this.#end(UPSTREAM_FAILED, reason),
    });
  }

  #hail(): void {
    if (this.#opening !== null) this.#send(initializeFor(this.#hello, String(this.#opening.id)));
  }

  #onMessage(bytes: Buffer): void {
    if (this.#isOver) return;
    const message = scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH });
    if (message === null) return this.#host.deps.events.noise(this.#host.settings.name, 'not_json');
    if (message.kind === 'response') return this.#onResponse(bytes, message);
    if (message.method === PROGRESS) return this.#onProgress(bytes, message);
    const changed = changedList(message.method);
    if (changed !== null) this.#host.deps.events.listChanged(this.#host.settings.name, changed);
    this.#toClient(bytes, message);
  }

  /** A request is over then; of anything else nobody waits for an end. */
  #onUndelivered(bytes: Buffer, detail: string, health: Health): void {
    const message = scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH });
    const entry = message?.kind === 'request' ? this.#pending.get(internalId(bytes, message.idStart, message.idEnd)) : undefined;
    if (entry !== undefined && this.#pending.remove(entry)) entry.sink?.onFail(UPSTREAM_FAILED, detail, health);
  }

  #onResponse(bytes: Buffer, message: UpstreamMessage): void {
    const entry = this.#pending.get(internalId(bytes, message.idStart, message.idEnd));
    if (entry === undefined) return this.#host.deps.events.noise(this.#host.settings.name, 'unmatched');
    const isOpening = entry === this.#opening;
    const fault = isOpening && !message.isError ? this.#agree(bytes) : null;
    if (fault !== null) return this.#end(UPSTREAM_INVALID, fault);
    this.#pending.remove(entry);
    entry.sink?.onReply(replyToClient(bytes, message, entry), message.isError, message.errorCode);
    if (isOpening && message.isError) this.close();
  }

  /** Null, or what is wrong with the answer to `initialize`. */
  #agree(bytes: Buffer): string | null {
    this.#opening = null;
    const info = readInitializeReply(bytes);
    if (typeof info === 'string') return info;
    this.place = { kind: 'owned', revision: info.protocolVersion, bytes: this.placeBytes };
    this.agreement = { info, place: this.place };
    this.#streams = this.#streamsOf(info.protocolVersion);
    return null;
  }

  #streamsOf(revision: string): KeptStreams {
    const memory = RESUMABLE_REVISIONS.has(revision) ? (this.#host.deps.kept?.memoryFor(this.#principalKey) ?? null) : null;
    return new KeptStreams({ memory, isPrimed: revision === LATEST_LEGACY_REVISION });
  }

  #onProgress(bytes: Buffer, message: UpstreamMessage): void {
    const entry = this.#pending.get(internalId(bytes, message.tokenStart, message.tokenEnd));
    const relayed = entry === undefined ? null : progressToClient(bytes, message, entry);
    if (entry === undefined || relayed === null) return this.#host.deps.events.noise(this.#host.settings.name, 'unmatched');
    this.#pending.touch(entry);
    if (!entry.isSlow) this.#deliver(entry, relayed);
  }

  /**
   * What names no request: a channel does not say what it belongs to. With one request under way it is that one's stream, as a server that
   * knew streams would have it; else the standing one, else that of any request. Exactly one gets it.
   */
  #toClient(bytes: Buffer, message: UpstreamMessage): void {
    const isNews = changedList(message.method) !== null || message.method === 'notifications/resources/updated';
    const isQuestion = message.kind === 'request';
    const entry = isNews ? undefined : this.#addressee();
    if (entry !== undefined) {
      // Whoever is asked may be a person: only the hard deadline holds until the server is heard again.
      if (isQuestion) entry.idleAtMs = entry.hardAtMs;
      else this.#pending.touch(entry);
      return this.#deliver(entry, bytes);
    }
    if (!this.#streams.deliver(bytes, isQuestion) && isQuestion) this.#refuse(bytes, message);
  }

  /** A request whose client is there, or may come back where nobody listens besides. */
  #addressee(): PendingEntry | undefined {
    const waiting = this.#pending.list().filter(({ sink }) => sink instanceof KeptReply && sink.isReachable);
    const heard = waiting.find(({ sink }) => sink instanceof KeptReply && sink.isHeard);
    if (this.#streams.isHeard) return waiting.length === 1 ? heard : undefined;
    return heard ?? waiting[0];
  }

  /** Nobody is there to be asked; a server must not wait for that to change. */
  #refuse(bytes: Buffer, message: UpstreamMessage): void {
    const id = bytes.toString('utf8', message.idStart, message.idEnd);
    const error = { code: -32_000, message: 'The client cannot be reached' };
    this.#send(Buffer.from(`{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify(error)}}`));
  }

  #deliver(entry: PendingEntry, bytes: Buffer): void {
    this.#stream(entry);
    if (entry.sink !== null) entry.isSlow = !entry.sink.onMessage(bytes);
  }

  #stream(entry: PendingEntry): void {
    if (entry.sink === null || entry.isStreaming || entry.isDone) return;
    entry.isStreaming = true;
    entry.sink.onStream();
  }

  #onExpired(entry: PendingEntry, deadline: 'idle' | 'hard'): void {
    entry.expired(deadline);
    // A server that does not even agree on a session is not kept.
    if (entry === this.#opening) this.close();
    else this.#send(cancelledNotification(entry.id, 'timed out'));
  }

  #end(refusal: Refusal, reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const channel = this.#channel;
    this.#channel = null;
    this.#pending.failAll(refusal, reason);
    this.#streams.end(reason);
    this.#host.ended(this);
    if (refusal === UPSTREAM_INVALID) void channel?.stop(this.#host.deps.stopGraceMs ?? DEFAULT_GRACE_MS);
  }

  #touch(): void {
    this.usedMs = this.#host.deps.clock.nowMs();
  }

  #send(bytes: Buffer): boolean {
    return this.#channel?.send(bytes) ?? false;
  }
}
