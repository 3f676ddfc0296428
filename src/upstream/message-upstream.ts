import type { Timer } from '../core/clock.ts';
import type { UpstreamSettings } from '../core/config.ts';
import type { Envelope } from '../core/envelope.ts';
import { METHOD_NOT_FOUND, UPSTREAM_BUSY, UPSTREAM_DOWN, UPSTREAM_FAILED } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type {
  Health,
  InFlight,
  ReplySink,
  RequestOptions,
  TransportName,
  Upstream,
  UpstreamInfo,
  UpstreamState,
} from '../core/upstream.ts';
import { changedList } from '../mcp/list-request.ts';
import { rpcError, rpcResult } from '../mcp/messages.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import type { UpstreamMessage } from '../mcp/upstream-message.ts';
import { Backoff } from './backoff.ts';
import { ChannelPings, PING_TIMEOUT_MS } from './channel-pings.ts';
import type { Channel, Connector } from './channel.ts';
import { deadlinesOf } from './deadlines.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';
import type { UpstreamDeps } from './deps.ts';
import { cancelledNotification, INITIALIZED, initializeRequest, pingRequest, readInitializeReply } from './handshake.ts';
import { HoldQueue } from './hold-queue.ts';
import { OwnCall } from './own-call.ts';
import type { OwnOutcome } from './own-call.ts';
import { PendingTable } from './pending.ts';
import type { PendingEntry } from './pending.ts';
import { cancelledBy, internalId, notificationToUpstream, PROGRESS, progressToClient, replyToClient, toUpstream } from './rewrite.ts';
import { Status } from './status.ts';

const MAX_PENDING = 10_000;

/** A channel that was ready for as long starts its back-off anew. */
const STABLE_MS = 10_000;

/** A new attempt due within this time is worth waiting for. */
const SOON_MS = 1000;

const DEFAULT_GRACE_MS = 2000;

/** That a server which is reached without a handshake takes none is believed for as long. */
const REFUSED_TTL_MS = 5 * 60_000;

interface HeldCall {
  readonly entry: PendingEntry;
  readonly bytes: Buffer;
}

/**
 * A server behind one channel that all callers of this worker share. It is made anew, with a back-off, when it is lost. Log
 * messages and other notifications that name no request are dropped: nobody can tell whom they concern.
 */
export class MessageUpstream implements Upstream {
  readonly transport: TransportName;
  readonly modern = null;
  readonly circuit = 'closed' as const;
  readonly retryAfterSecs = 1;
  readonly #settings: UpstreamSettings;
  readonly #connector: Connector;
  readonly #deps: UpstreamDeps;
  readonly #status: Status;
  readonly #pending: PendingTable;
  readonly #held: HoldQueue<HeldCall>;
  readonly #backoff: Backoff;
  #channel: Channel | null = null;
  #pings: ChannelPings | null = null;
  #restart: { readonly timer: Timer; readonly atMs: number } | null = null;
  #readySinceMs = Number.POSITIVE_INFINITY;
  /** It answered `initialize` with a refusal. */
  #isRefused = false;
  #info: UpstreamInfo | null = null;
  #closing: Promise<void> | null = null;

  constructor(settings: UpstreamSettings, connector: Connector, deps: UpstreamDeps) {
    this.transport = settings.transport;
    this.#settings = settings;
    this.#connector = connector;
    this.#backoff = new Backoff(connector.backoff);
    this.#deps = deps;
    this.#status = new Status(deps.events);
    this.#pending = new PendingTable({
      clock: deps.clock,
      maxEntries: settings.maxConcurrency > 0 ? settings.maxConcurrency : MAX_PENDING,
      deadlinesOf: deadlinesOf(settings, deps),
      onExpired: (entry, deadline) => this.#onExpired(entry, deadline),
    });
    this.#held = new HoldQueue(deps.clock, ({ entry }) => this.#fail(entry, UPSTREAM_DOWN, 'not ready in time'), deps.holdMs);
  }

  get name(): string {
    return this.#settings.name;
  }

  get isRequired(): boolean {
    return this.#settings.isRequired;
  }

  get state(): UpstreamState {
    return this.#status.state;
  }

  get detail(): string | null {
    return this.#status.detail;
  }

  get info(): UpstreamInfo | null {
    return this.#info;
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  get pids(): readonly number[] {
    const pid = this.#channel?.pid ?? null;
    return pid === null ? [] : [pid];
  }

  /** Whether a request would be sent, now or as soon as the channel is ready. */
  get isUsable(): boolean {
    return this.state === 'ready' || this.#isAlmostReady();
  }

  start(): void {
    if (this.#isRefused && this.#restart !== null && !this.#hasOtherWay) this.#wakeUp();
    if (this.#channel !== null || this.#restart !== null || this.state === 'closed') return;
    const refused = this.#connector.refuse();
    if (refused !== null) return this.#status.set(this, 'down', refused);
    const { events } = this.#deps;
    const made = this.#connector.connect({
      onOpen: () => this.#shakeHands(),
      onMessage: (bytes) => this.#onMessage(bytes),
      onUndelivered: (bytes, detail, health) => this.#onUndelivered(bytes, detail, health),
      onNoise: (kind) => events.noise(this.name, kind),
      onStderr: (line) => events.stderrLine(this.name, line),
      onGone: (reason) => this.#onGone(reason),
    });
    if (typeof made === 'string') return this.#onGone(made);
    this.#channel = made;
    if (made.isOpen) this.#shakeHands();
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    if (!this.isUsable) return UPSTREAM_DOWN;
    const isReady = this.state === 'ready';
    if (!isReady && this.#held.isFull) return UPSTREAM_BUSY;
    const entry = this.#pending.add(message, options.principalKey, sink);
    if (entry === null) return UPSTREAM_BUSY;
    const bytes = toUpstream(message, entry);
    if (!isReady) {
      this.#held.push({ entry, bytes });
    } else if (!this.#send(bytes)) {
      this.#pending.remove(entry);
      return UPSTREAM_BUSY;
    }
    return entry;
  }

  notify(message: Envelope, options: RequestOptions): Refusal | null {
    const cancelled = cancelledBy(message, options.principalKey, this.#pending);
    if (this.state !== 'ready') return this.#cancelHeld(cancelled);
    const bytes = notificationToUpstream(message, cancelled);
    if (bytes !== null && !this.#send(bytes)) return UPSTREAM_BUSY;
    if (cancelled !== null) this.#pending.cancel(cancelled);
    return null;
  }

  /** What waits for the channel was not sent yet: nobody else has to be told. */
  #cancelHeld(entry: PendingEntry | null): Refusal | null {
    if (entry === null) return UPSTREAM_DOWN;
    this.#pending.cancel(entry);
    return null;
  }

  /** All clients share what is behind the connection. */
  newSession(): null {
    return null;
  }

  resumeSession(): null {
    return null;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#status.set(this, 'closed', 'closed');
    this.#restart?.timer.cancel();
    this.#restart = null;
    this.#held.takeAll();
    this.#pending.failAll(UPSTREAM_DOWN, 'closed');
    await this.#channel?.stop(this.#deps.stopGraceMs ?? DEFAULT_GRACE_MS);
  }

  #isAlmostReady(): boolean {
    if (this.state === 'closed') return false;
    if (this.#channel !== null) return true;
    return this.#restart !== null && this.#restart.atMs - this.#deps.clock.nowMs() <= SOON_MS;
  }

  #shakeHands(): void {
    const channel = this.#channel;
    const call = new OwnCall((outcome) => this.#onInitialized(channel, outcome));
    const entry = this.#pending.addOwn(call, this.#settings.timeoutMs);
    this.#send(initializeRequest(entry.id, this.#deps.version));
  }

  #onInitialized(channel: Channel | null, outcome: OwnOutcome): void {
    if (channel === null || this.#channel !== channel || this.state === 'closed') return;
    if (outcome.bytes === null) return channel.kill(`did not answer initialize: ${outcome.detail}`);
    const info = readInitializeReply(outcome.bytes);
    this.#isRefused = typeof info === 'string';
    if (typeof info === 'string') return channel.kill(info);
    this.#info = info;
    this.#readySinceMs = this.#deps.clock.nowMs();
    channel.send(INITIALIZED);
    if (this.#connector.arePingsNeeded) this.#pings = this.#startPings(channel);
    this.#status.set(this, 'ready', null);
    for (const { entry, bytes } of this.#held.takeAll()) {
      if (!entry.isDone && !channel.send(bytes)) this.#fail(entry, UPSTREAM_BUSY, 'does not read its input');
    }
  }

  /** The channel is gone, or could not be made. */
  #onGone(reason: string): void {
    const nowMs = this.#deps.clock.nowMs();
    this.#channel = null;
    this.#pings?.close();
    this.#pings = null;
    if (this.state === 'closed') return;
    if (nowMs - this.#readySinceMs >= STABLE_MS) this.#backoff.reset();
    this.#readySinceMs = Number.POSITIVE_INFINITY;
    const delayMs = this.#isRefused && this.#hasOtherWay ? REFUSED_TTL_MS : this.#backoff.next();
    this.#restart = { timer: this.#deps.clock.after(delayMs, () => this.#onRestart()), atMs: nowMs + delayMs };
    this.#status.set(this, 'down', reason);
    // What waited was never sent: the client may try again.
    for (const { entry } of this.#held.takeAll()) this.#fail(entry, UPSTREAM_DOWN, reason);
    this.#pending.failAll(UPSTREAM_FAILED, reason);
  }

  get #hasOtherWay(): boolean {
    return this.#deps.hasOtherWay?.() === true;
  }

  #wakeUp(): void {
    this.#isRefused = false;
    this.#restart?.timer.cancel();
    this.#restart = null;
  }

  #onRestart(): void {
    this.#restart = null;
    this.start();
    if (this.transport === 'stdio') this.#deps.events.restarted(this.name, this.#backoff.attempts);
  }

  #startPings(channel: Channel): ChannelPings {
    return new ChannelPings(this.#deps.clock, {
      ping: (done) => {
        const call = new OwnCall((outcome) => done(outcome.bytes !== null));
        this.#send(pingRequest(this.#pending.addOwn(call, PING_TIMEOUT_MS).id));
      },
      isIdle: () => this.#channel === channel && this.#pending.size === 0,
      giveUp: (reason) => channel.kill(reason),
    });
  }

  /** A request is over then; of anything else nobody waits for an end. */
  #onUndelivered(bytes: Buffer, detail: string, health: Health): void {
    const message = scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH });
    const entry = message?.kind === 'request' ? this.#pending.get(internalId(bytes, message.idStart, message.idEnd)) : undefined;
    if (entry !== undefined) this.#fail(entry, UPSTREAM_FAILED, detail, health);
  }

  #onMessage(bytes: Buffer): void {
    this.#pings?.sign();
    const message = scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH });
    if (message === null) return this.#deps.events.noise(this.name, 'not_json');
    switch (message.kind) {
      case 'response':
        return this.#onResponse(bytes, message);
      case 'notification':
        return this.#onNotification(bytes, message);
      case 'request':
        return this.#onServerRequest(bytes, message);
    }
  }

  #onResponse(bytes: Buffer, message: UpstreamMessage): void {
    const entry = this.#pending.get(internalId(bytes, message.idStart, message.idEnd));
    if (entry === undefined) return this.#deps.events.noise(this.name, 'unmatched');
    this.#pending.remove(entry);
    const { sink } = entry;
    if (sink === null) return;
    if (entry.progressToken !== null && !entry.isStreaming) sink.onStream();
    sink.onReply(replyToClient(bytes, message, entry), message.isError, message.errorCode);
  }

  #onNotification(bytes: Buffer, message: UpstreamMessage): void {
    const changed = changedList(message.method);
    if (changed !== null) return this.#deps.events.listChanged(this.name, changed);
    const isProgress = message.method === PROGRESS;
    const entry = isProgress ? this.#pending.get(internalId(bytes, message.tokenStart, message.tokenEnd)) : undefined;
    const relayed = entry === undefined ? null : progressToClient(bytes, message, entry);
    if (entry === undefined || relayed === null) return this.#deps.events.noise(this.name, 'unmatched');
    this.#pending.touch(entry);
    // The channel is shared and cannot be paused for one slow client: that client misses steps of its progress.
    if (entry.sink === null || entry.isSlow) return;
    if (!entry.isStreaming) entry.sink.onStream();
    entry.isStreaming = true;
    entry.isSlow = !entry.sink.onMessage(relayed);
  }

  #onServerRequest(bytes: Buffer, message: UpstreamMessage): void {
    this.#deps.events.noise(this.name, 'server_request');
    const idToken = bytes.toString('utf8', message.idStart, message.idEnd);
    const answer = message.method === 'ping' ? rpcResult(idToken, '{}') : rpcError(idToken, METHOD_NOT_FOUND, 'Method not found', null);
    this.#send(Buffer.from(answer));
  }

  #onExpired(entry: PendingEntry, deadline: 'idle' | 'hard'): void {
    if (!entry.isOwn && this.state === 'ready') this.#send(cancelledNotification(entry.id, 'timed out'));
    entry.expired(deadline);
  }

  #fail(entry: PendingEntry, refusal: Refusal, detail: string, health?: Health): void {
    if (this.#pending.remove(entry)) entry.sink?.onFail(refusal, detail, health);
  }

  #send(message: Buffer): boolean {
    return this.#channel?.send(message) ?? false;
  }
}
