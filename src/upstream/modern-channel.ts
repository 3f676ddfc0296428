import type { Timer } from '../core/clock.ts';
import type { UpstreamSettings } from '../core/config.ts';
import type { Envelope } from '../core/envelope.ts';
import { HEADER_MISMATCH, SESSION_UNKNOWN, UPSTREAM_BUSY, UPSTREAM_DOWN, UPSTREAM_FAILED } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { Health, InFlight, ListKind, ModernInfo, ReplySink, RequestOptions } from '../core/upstream.ts';
import { changedList } from '../mcp/list-request.ts';
import { DISCOVER, LISTEN } from '../mcp/modern-methods.ts';
import { gatewayRequest } from '../mcp/modern-request.ts';
import { agree, argumentsOf } from '../mcp/param-headers.ts';
import { subscriptionId, withSubscriptionId } from '../mcp/subscription-id.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import type { UpstreamMessage } from '../mcp/upstream-message.ts';
import { Backoff } from './backoff.ts';
import type { Channel, Connector } from './channel.ts';
import { deadlinesOf } from './deadlines.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';
import type { UpstreamDeps } from './deps.ts';
import { readDiscoverReply } from './discover.ts';
import { cancelledNotification } from './handshake.ts';
import { HeldRequest } from './held-request.ts';
import { ModernFlight } from './modern-flight.ts';
import { ModernNews } from './modern-news.ts';
import type { EraVerdict, ModernSide, ModernSideHost } from './modern-side.ts';
import type { NewsHub } from './news-desk.ts';
import { OwnCall } from './own-call.ts';
import type { OwnOutcome } from './own-call.ts';
import { PendingTable } from './pending.ts';
import type { PendingEntry } from './pending.ts';
import { ToolHeaders } from './tool-headers.ts';
import { CANCELLED, cancelNamed, internalId, LOG_MESSAGE, PROGRESS, progressToClient, replyToClient, toUpstream } from './rewrite.ts';

const MAX_PENDING = 10_000;
/** A program has to start first. */
const PROBE_TIMEOUT_MS = 8000;
/** Between two attempts to find out what a server speaks that could not be asked. */
const ASK_AGAIN_MS = 30_000;
/** A program may be replaced by a newer one: that it knows only older revisions is believed for as long. */
const LEGACY_TTL_MS = 10 * 60_000;
const DEFAULT_GRACE_MS = 2000;

/**
 * A server of revision 2026-07-28 behind a channel of its own: a child process beside the one that took the handshake, because a server may
 * end on a message that it does not expect first. One channel for all callers of this worker: the revision keeps nothing of them.
 */
export class ModernChannel implements ModernSide {
  verdict: EraVerdict = 'idle';
  info: ModernInfo | null = null;
  isUp = false;
  readonly isUnreachable = false;
  readonly isOwn = false;
  detail = 'not asked yet';
  readonly #settings: UpstreamSettings;
  readonly #connector: Connector;
  readonly #deps: UpstreamDeps;
  readonly #host: ModernSideHost;
  readonly #pending: PendingTable;
  readonly #backoff: Backoff;
  /** Requests that asked for log messages. */
  readonly #logging = new Set<PendingEntry>();
  readonly #tools: ToolHeaders;
  /** Null: there are no other workers to tell. */
  readonly #news: ModernNews | null;
  #channel: Channel | null = null;
  #restart: Timer | null = null;
  #askedMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(settings: UpstreamSettings, connector: Connector, deps: UpstreamDeps, host: ModernSideHost) {
    this.#settings = settings;
    this.#connector = connector;
    this.#deps = deps;
    this.#host = host;
    this.#backoff = new Backoff(connector.backoff);
    this.#tools = new ToolHeaders(deps.clock, (cursor, done) => this.#listTools(cursor, done));
    this.#news = deps.news === undefined ? null : this.#buildNews(deps.news);
    this.#pending = new PendingTable({
      clock: deps.clock,
      maxEntries: settings.maxConcurrency > 0 ? settings.maxConcurrency : MAX_PENDING,
      deadlinesOf: deadlinesOf(settings, deps),
      onExpired: (entry, deadline) => this.#onExpired(entry, deadline),
    });
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  get pid(): number | null {
    return this.#channel?.pid ?? null;
  }

  get isReturning(): boolean {
    return this.verdict === 'modern' && !this.isUp && !this.#isClosed;
  }

  has(life: string): boolean {
    return this.isUp && this.info?.life === life;
  }

  start(): void {
    const nowMs = this.#deps.clock.nowMs();
    const agedMs = nowMs - this.#askedMs;
    const isOpen =
      this.verdict === 'idle' ||
      (this.verdict === 'unknown' && agedMs >= ASK_AGAIN_MS) ||
      (this.verdict === 'legacy' && agedMs >= LEGACY_TTL_MS);
    if (!isOpen || this.#channel !== null || this.#isClosed) return;
    this.verdict = 'asking';
    this.#connect();
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    if (!this.isUp) return UPSTREAM_DOWN;
    if (options.modern?.life !== undefined && !this.has(options.modern.life)) return SESSION_UNKNOWN;
    if (message.method !== 'tools/call' || options.modern?.params === 'from_body') return this.#pass(message, options, sink);
    if (this.#tools.isKnown) return this.#call(message, options, sink);
    const held = new HeldRequest(message, options, sink);
    const isWaiting = this.#tools.whenKnown(() => held.release((...call) => this.#call(...call), 'does not agree with its headers'));
    return isWaiting ? held : UPSTREAM_BUSY;
  }

  /** Nobody behind the channel sees the headers of a call: that they agree with its arguments is for the gateway to find out. */
  #call(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const declared = this.#tools.of(message.name ?? '');
    const params = options.modern?.params ?? null;
    if (params !== 'from_body' && declared.length > 0 && !agree(declared, argumentsOf(message), params)) return HEADER_MISMATCH;
    return this.#pass(message, options, sink);
  }

  #pass(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    if (!this.isUp) return UPSTREAM_DOWN;
    const entry = this.#pending.add(message, options.principalKey, sink, message.method === LISTEN);
    if (entry === null) return UPSTREAM_BUSY;
    if (!this.#send(toUpstream(message, entry))) {
      this.#pending.remove(entry);
      return UPSTREAM_BUSY;
    }
    if (this.info !== null) options.modern?.onLife?.(this.info.life);
    if ((message.modern?.logLevelStart ?? -1) >= 0) this.#logging.add(entry);
    entry.carrier = { resume: () => undefined, abandon: () => this.#abandon(entry) };
    return new ModernFlight(entry, this.#pending);
  }

  notify(message: Envelope, options: RequestOptions): Refusal | null {
    if (!this.isUp) return UPSTREAM_DOWN;
    if (message.method === CANCELLED) return cancelNamed(message, options.principalKey, this.#pending);
    return this.#send(message.bytes) ? null : UPSTREAM_BUSY;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.isUp = false;
    this.#restart?.cancel();
    this.#news?.close();
    this.#pending.failAll(UPSTREAM_DOWN, 'closed');
    await this.#channel?.stop(this.#deps.stopGraceMs ?? DEFAULT_GRACE_MS);
  }

  #buildNews(desk: NewsHub): ModernNews {
    const { name, transport } = this.#settings;
    return new ModernNews({
      server: name,
      isShared: transport !== 'stdio',
      clock: this.#deps.clock,
      desk,
      subscribe: (filter, ended) => this.#subscribe(filter, ended),
      unsubscribe: (entry) => this.#pending.cancel(entry),
      deliver: (entry, bytes) => this.#deliver(entry, bytes),
      listChanged: (change) => this.#onListChanged('list' in change ? change.list : null),
    });
  }

  /** For the gateway itself, for as long as the channel stands. */
  #subscribe(filter: string, ended: () => void): PendingEntry | null {
    const entry = this.#pending.addOwn(new OwnCall(ended), Number.POSITIVE_INFINITY);
    entry.carrier = { resume: () => undefined, abandon: () => this.#abandon(entry) };
    if (this.#send(gatewayRequest(entry.id, LISTEN, filter, this.#deps.version))) return entry;
    this.#pending.remove(entry);
    return null;
  }

  #onListChanged(kind: ListKind | null): void {
    if (kind !== null) this.#deps.events.listChanged(this.#settings.name, kind);
    if (kind === 'tools') this.#tools.refresh();
  }

  #connect(): void {
    this.#askedMs = this.#deps.clock.nowMs();
    const { events } = this.#deps;
    const { name } = this.#settings;
    const made =
      this.#connector.refuse() ??
      this.#connector.connect({
        onOpen: () => this.#discover(),
        onMessage: (bytes) => this.#onMessage(bytes),
        onUndelivered: (bytes, detail, health) => this.#onUndelivered(bytes, detail, health),
        onNoise: (kind) => events.noise(name, kind),
        onStderr: (line) => events.stderrLine(name, line),
        onGone: (reason) => this.#onGone(reason),
      });
    if (typeof made === 'string') return queueMicrotask(() => this.#onGone(made));
    this.#channel = made;
    // The primary must know of the child, to end it should this worker be killed.
    events.childrenChanged(name);
    if (made.isOpen) this.#discover();
  }

  #discover(): void {
    const channel = this.#channel;
    const timeoutMs = Math.min(PROBE_TIMEOUT_MS, this.#settings.timeoutMs);
    const entry = this.#pending.addOwn(new OwnCall((outcome) => this.#onDiscovered(channel, outcome)), timeoutMs);
    this.#send(gatewayRequest(entry.id, DISCOVER, '', this.#deps.version));
  }

  /** Any answer but the one of the revision, and none in time, means that the server does not speak it. */
  #onDiscovered(channel: Channel | null, outcome: OwnOutcome): void {
    if (channel === null || this.#channel !== channel || this.#isClosed) return;
    const info = outcome.bytes === null ? 'did not answer server/discover' : readDiscoverReply(outcome.bytes);
    if (typeof info === 'string') return this.#onLegacy(info);
    this.#backoff.reset();
    this.verdict = 'modern';
    this.info = info;
    this.isUp = true;
    this.detail = '';
    this.#news?.up();
    this.#host.onChange();
  }

  #listTools(cursor: string | null, done: (reply: Buffer | null) => void): void {
    const entry = this.#pending.addOwn(new OwnCall(({ bytes }) => done(bytes)), this.#settings.timeoutMs);
    const params = cursor === null ? '' : `"cursor":${JSON.stringify(cursor)}`;
    if (this.#send(gatewayRequest(entry.id, 'tools/list', params, this.#deps.version))) return;
    this.#pending.remove(entry);
    queueMicrotask(() => done(null));
  }

  #onLegacy(detail: string): void {
    const channel = this.#channel;
    this.#channel = null;
    this.verdict = 'legacy';
    this.info = null;
    this.isUp = false;
    this.detail = detail;
    void channel?.stop(this.#deps.stopGraceMs ?? DEFAULT_GRACE_MS);
    this.#host.onChange();
  }

  /** One that ends on being asked, while it takes handshakes, is of the older kind; else nobody knows. */
  #onGone(reason: string): void {
    if (this.#isClosed || this.verdict === 'legacy') return;
    this.#channel = null;
    this.isUp = false;
    this.detail = reason;
    if (this.verdict === 'asking') this.verdict = this.#host.isAlone() ? 'unknown' : 'legacy';
    if (this.verdict === 'modern') this.#restart = this.#deps.clock.after(this.#backoff.next(), () => this.#connect());
    this.#logging.clear();
    this.#news?.down();
    this.#pending.failAll(UPSTREAM_FAILED, reason);
    this.#host.onChange();
  }

  #onMessage(bytes: Buffer): void {
    const message = scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH });
    if (message === null) return this.#noise('not_json');
    if (message.kind === 'response') return this.#onResponse(bytes, message);
    if (message.kind === 'notification') return this.#onNotification(bytes, message);
    // This revision has no requests from server to client.
    this.#noise('server_request');
  }

  /** A request is over then; of anything else nobody waits for an end. */
  #onUndelivered(bytes: Buffer, detail: string, health: Health): void {
    const message = scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH });
    const entry = message?.kind === 'request' ? this.#pending.get(internalId(bytes, message.idStart, message.idEnd)) : undefined;
    if (entry !== undefined && this.#pending.remove(entry)) entry.sink?.onFail(UPSTREAM_FAILED, detail, health);
  }

  #onResponse(bytes: Buffer, message: UpstreamMessage): void {
    const entry = this.#pending.get(internalId(bytes, message.idStart, message.idEnd));
    if (entry === undefined) return this.#noise('unmatched');
    this.#pending.remove(entry);
    this.#ended(entry);
    const reply = replyToClient(bytes, message, entry);
    const tagged = entry.isOpen ? (withSubscriptionId(reply, entry.id, entry.idToken) ?? reply) : reply;
    entry.sink?.onReply(tagged, message.isError, message.errorCode);
  }

  #onNotification(bytes: Buffer, message: UpstreamMessage): void {
    this.#onListChanged(changedList(message.method));
    const entry = this.#addressee(bytes, message);
    const relayed = entry === undefined ? null : toClient(bytes, message, entry);
    if (entry === undefined || relayed === null) return this.#noise('unmatched');
    this.#pending.touch(entry);
    if (entry.isOpen) this.#news?.heard(entry, bytes, message);
    if (!entry.isOwn) this.#deliver(entry, relayed);
  }

  #deliver(entry: PendingEntry, relayed: Buffer): void {
    // The channel is shared and cannot be paused for one slow client: that client misses steps of its progress.
    if (entry.sink === null || (entry.isSlow && !entry.isOpen)) return;
    if (!entry.isStreaming) entry.sink.onStream();
    entry.isStreaming = true;
    entry.isSlow = !entry.sink.onMessage(relayed);
  }

  /** Whom a notification is for: it says so by its progress token or its subscription; a log message does not say. */
  #addressee(bytes: Buffer, message: UpstreamMessage): PendingEntry | undefined {
    if (message.method === PROGRESS) return this.#pending.get(internalId(bytes, message.tokenStart, message.tokenEnd));
    if (message.method === LOG_MESSAGE) return this.#logging.size === 1 ? [...this.#logging][0] : undefined;
    const { start, end } = subscriptionId(bytes);
    const entry = this.#pending.get(internalId(bytes, start, end));
    return entry?.isOpen === true ? entry : undefined;
  }

  #ended(entry: PendingEntry): void {
    this.#logging.delete(entry);
    if (entry.isOpen) this.#news?.left(entry);
  }

  #abandon(entry: PendingEntry): void {
    this.#ended(entry);
    if (this.isUp) this.#send(cancelledNotification(entry.id, 'the client left'));
  }

  #onExpired(entry: PendingEntry, deadline: 'idle' | 'hard'): void {
    this.#logging.delete(entry);
    if (!entry.isOwn && this.isUp) this.#send(cancelledNotification(entry.id, 'timed out'));
    entry.expired(deadline);
  }

  #send(message: Buffer): boolean {
    return this.#channel?.send(message) ?? false;
  }

  #noise(kind: 'not_json' | 'unmatched' | 'server_request'): void {
    this.#deps.events.noise(this.#settings.name, kind);
  }
}

function toClient(bytes: Buffer, message: UpstreamMessage, entry: PendingEntry): Buffer | null {
  if (message.method === PROGRESS) return progressToClient(bytes, message, entry);
  return message.method === LOG_MESSAGE ? bytes : withSubscriptionId(bytes, entry.id, entry.idToken);
}
