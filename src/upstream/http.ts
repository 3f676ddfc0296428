import type { HttpSettings, UpstreamSettings } from '../core/config.ts';
import type { Envelope } from '../core/envelope.ts';
import { METHOD_NOT_FOUND, UPSTREAM_BUSY, UPSTREAM_DOWN, UPSTREAM_FAILED } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import { settleShape } from '../core/shape.ts';
import type { ClientHello, SessionPlace, UpstreamSession } from '../core/upstream-session.ts';
import type { Health, InFlight, ReplySink, RequestOptions, Upstream, UpstreamInfo, UpstreamState } from '../core/upstream.ts';
import { changedList } from '../mcp/list-request.ts';
import { mayRepeat } from '../mcp/methods.ts';
import { rpcError, rpcResult } from '../mcp/messages.ts';
import { RESUMABLE_REVISIONS } from '../mcp/revisions.ts';
import type { UpstreamMessage } from '../mcp/upstream-message.ts';
import { checkHeaders } from './check.ts';
import { deadlinesOf } from './deadlines.ts';
import type { UpstreamDeps } from './deps.ts';
import { cancelledNotification, INITIALIZED } from './handshake.ts';
import { HoldQueue } from './hold-queue.ts';
import { HttpCall } from './http-call.ts';
import type { CallListener, CallOptions } from './http-call.ts';
import type { HttpClient } from './http-client.ts';
import { HttpLink } from './http-link.ts';
import type { LinkHost } from './http-link.ts';
import { HttpPoster } from './http-poster.ts';
import { commonHeaders } from './http-session.ts';
import { HttpSessions } from './http-sessions.ts';
import { PartingCounts } from './partings.ts';
import type { HttpSession } from './http-session.ts';
import { WireClient } from './http-wire.ts';
import { ListWatch } from './list-watch.ts';
import { OwnCall } from './own-call.ts';
import type { OwnOutcome } from './own-call.ts';
import { noEntry, PendingTable } from './pending.ts';
import type { PendingEntry } from './pending.ts';
import {
  cancelledBy,
  internalId,
  LOG_MESSAGE,
  notificationToUpstream,
  PROGRESS,
  progressToClient,
  replyToClient,
  toUpstream,
} from './rewrite.ts';
import { checkUrl, guardedLookup } from './ssrf.ts';
import { Status } from './status.ts';

/** Each holds a connection of its own while it waits. */
const MAX_PENDING = 4096;
const DELETE_TIMEOUT_MS = 1000;

const ignoreStatus = (): void => {};

/**
 * A server reached by Streamable HTTP (MCP 2025-11-25, Transports). Nothing of a client's request but the checked
 * message goes there: headers are the gateway's own and the configured ones.
 */
export class HttpUpstream implements Upstream, CallListener, LinkHost {
  readonly transport = 'http' as const;
  readonly pids: readonly number[] = [];
  readonly modern = null;
  readonly circuit = 'closed' as const;
  readonly retryAfterSecs = 1;
  readonly #settings: UpstreamSettings;
  readonly #deps: UpstreamDeps;
  readonly #status: Status;
  readonly #pending: PendingTable;
  readonly #held: HoldQueue<HttpCall>;
  readonly #callOptions: CallOptions;
  readonly #headers: readonly string[];
  readonly #basePath: string;
  readonly #query: string;
  readonly #refused: string | null;
  readonly #client: HttpClient;
  readonly #poster: HttpPoster;
  readonly #link: HttpLink;
  /** Null: its lists are not kept, so nobody needs to know of their changes. */
  readonly #watch: ListWatch | null;
  readonly #sessions: HttpSessions;
  #info: UpstreamInfo | null = null;
  /** The session that the lists which are kept come from. */
  #listed: HttpSession | null = null;
  /** What it said of itself last, to whomever. */
  #said = '';
  #closing: Promise<void> | null = null;

  constructor(settings: UpstreamSettings, http: HttpSettings, deps: UpstreamDeps) {
    const { clock } = deps;
    this.#settings = settings;
    this.#deps = deps;
    this.#status = new Status(deps.events);
    this.#pending = new PendingTable({
      clock,
      maxEntries: settings.maxConcurrency > 0 ? settings.maxConcurrency : MAX_PENDING,
      deadlinesOf: deadlinesOf(settings, deps),
      onExpired: (entry, deadline) => this.#onExpired(entry, deadline),
    });
    this.#held = new HoldQueue(clock, ({ entry }) => this.#fail(entry, UPSTREAM_DOWN, 'not ready in time'));
    this.#callOptions = { clock, maxResponseBytes: settings.maxResponseBytes };
    settleShape(() => new HttpCall(noEntry(), INITIALIZED, '', this.#callOptions, this));
    this.#headers = commonHeaders(http.headers, deps.version);
    this.#refused = checkUrl(http.url, http) ?? checkHeaders(http.headers);
    const url = URL.parse(http.url) ?? new URL('http://invalid.invalid/');
    this.#basePath = url.pathname;
    this.#query = url.search;
    this.#client = new WireClient(url.origin === 'null' ? 'http://invalid.invalid' : url.origin, guardedLookup(http), clock);
    this.#poster = new HttpPoster(this.#client, clock);
    this.#watch = settings.listCacheMs > 0 ? this.#buildWatch() : null;
    this.#sessions = this.#buildSessions();
    const { version: gatewayVersion, hasOtherWay = () => false } = deps;
    this.#link = new HttpLink({ clock, gatewayVersion, headers: this.#headers, timeoutMs: settings.timeoutMs, hasOtherWay }, this);
  }

  #buildWatch(): ListWatch {
    const { clock, events } = this.#deps;
    return new ListWatch({
      clock,
      client: this.#client,
      path: this.#pathTo(''),
      maxEventBytes: this.#settings.maxResponseBytes,
      onChanged: (kind) => events.listChanged(this.name, kind),
      onServerRequest: (bytes, message) => this.onServerRequest(bytes, message),
      onNoise: (kind) => events.noise(this.name, kind),
    });
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
    return this.#pending.size + this.#sessions.pending.size;
  }

  start(): void {
    if (this.#refused !== null) return this.#status.set(this, 'down', this.#refused);
    this.#link.start();
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const { session } = this.#link;
    if (session === null && !this.#link.isConnecting) return UPSTREAM_DOWN;
    if (session === null && this.#held.isFull) return UPSTREAM_BUSY;
    const entry = this.#pending.add(message, options.principalKey, sink);
    if (entry === null) return UPSTREAM_BUSY;
    const call = new HttpCall(entry, toUpstream(message, entry), this.#pathTo(options.restPath), this.#callOptions, this);
    if (session === null) this.#hold(call);
    else this.#send(call, session);
    return entry;
  }

  newSession(hello: ClientHello): UpstreamSession {
    return this.#sessions.open(hello);
  }

  resumeSession(place: SessionPlace): UpstreamSession | null {
    return this.#sessions.resume(place);
  }

  notify(message: Envelope, options: RequestOptions): Refusal | null {
    const { session } = this.#link;
    if (session === null) return UPSTREAM_DOWN;
    const cancelled = cancelledBy(message, options.principalKey, this.#pending);
    const body = notificationToUpstream(message, cancelled);
    if (body !== null && !this.#post(session, body, this.#pathTo(options.restPath), mayRepeat(message))) return UPSTREAM_BUSY;
    if (cancelled !== null) this.#pending.cancel(cancelled);
    return null;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const session = this.#link.close();
    this.#watch?.end();
    this.#status.set(this, 'closed', 'closed');
    this.#held.takeAll();
    this.#pending.failAll(UPSTREAM_DOWN, 'closed');
    this.#sessions.close();
    if (session !== null && session.id !== null) await this.#endSession(session);
    await this.#client.close();
  }

  #buildSessions(): HttpSessions {
    const settings = this.#settings;
    return new HttpSessions({
      settings,
      clock: this.#deps.clock,
      client: this.#client,
      headers: this.#headers,
      maxPending: settings.maxConcurrency > 0 ? settings.maxConcurrency : MAX_PENDING,
      deadlinesOf: deadlinesOf(settings, this.#deps),
      partings: this.#deps.partings ?? new PartingCounts(),
      pathTo: (restPath) => this.#pathTo(restPath),
      isDown: () => this.#status.state === 'down' || this.#status.state === 'closed',
      noise: (kind) => this.#deps.events.noise(this.name, kind),
      listChanged: (kind) => this.#deps.events.listChanged(this.name, kind),
      agreed: (info) => this.#heard(info),
      failed: (call, detail) => this.#link.noteFailure(call, detail),
    });
  }

  #endSession(session: HttpSession): Promise<void> {
    return new Promise((resolve) => {
      const request = { method: 'DELETE' as const, path: this.#pathTo(''), headers: session.headers, body: null };
      if (!this.#poster.send(request, DELETE_TIMEOUT_MS, () => resolve(), true)) resolve();
    });
  }

  // LinkHost

  sendOwn(
    build: (id: number) => Buffer,
    session: HttpSession | null,
    timeoutMs: number,
    done: (call: HttpCall, outcome: OwnOutcome) => void,
  ): void {
    const entry = this.#pending.addOwn(new OwnCall((outcome) => done(call, outcome)), timeoutMs);
    const call = new HttpCall(entry, build(entry.id), this.#pathTo(''), this.#callOptions, this);
    this.#send(call, session);
  }

  sendInitialized(session: HttpSession, done: (status: number) => void): void {
    const request = { method: 'POST' as const, path: this.#pathTo(''), headers: session.headers, body: INITIALIZED };
    if (!this.#poster.send(request, this.#settings.timeoutMs, done, true)) queueMicrotask(() => done(0));
  }

  isIdle(): boolean {
    return this.#pending.size === 0;
  }

  onReady(): void {
    const { session } = this.#link;
    this.#info = session?.info ?? this.#info;
    this.#status.set(this, 'ready', null);
    // It has forgotten the one before: most likely it was started anew, and lists something else.
    if (this.#listed !== null && session !== this.#listed) this.#deps.events.listChanged(this.name, null);
    this.#listed = session ?? this.#listed;
    if (session !== null) this.#heard(session.info);
    if (session !== null) this.#watch?.begin(session.headers);
    for (const call of this.#held.takeAll()) {
      if (!call.entry.isDone && session !== null) this.#send(call, session);
    }
  }

  /** Where nothing is forgotten, because nothing is kept: what introduces itself otherwise is another one. */
  #heard({ serverInfo, capabilitiesJson }: UpstreamInfo): void {
    const said = serverInfo + capabilitiesJson;
    if (this.#said !== '' && said !== this.#said) this.#deps.events.listChanged(this.name, null);
    this.#said = said;
  }

  onDown(detail: string): void {
    this.#watch?.end();
    this.#status.set(this, 'down', detail);
    for (const { entry } of this.#held.takeAll()) this.#fail(entry, UPSTREAM_DOWN, detail);
  }

  // CallListener

  onStream({ entry }: HttpCall): void {
    if (entry.isStreaming) return;
    entry.isStreaming = true;
    entry.sink?.onStream();
  }

  onNotification(call: HttpCall, bytes: Buffer, message: UpstreamMessage): void {
    const { entry } = call;
    const changed = changedList(message.method);
    if (changed !== null) return this.#deps.events.listChanged(this.name, changed);
    const relayed = this.#relayed(entry, bytes, message);
    if (relayed === null) return this.#deps.events.noise(this.name, 'unmatched');
    this.#pending.touch(entry);
    if (entry.sink !== null && !entry.sink.onMessage(relayed)) call.pause();
  }

  onServerRequest(bytes: Buffer, message: UpstreamMessage): void {
    this.#deps.events.noise(this.name, 'server_request');
    const { session } = this.#link;
    const idToken = bytes.toString('utf8', message.idStart, message.idEnd);
    const answer = message.method === 'ping' ? rpcResult(idToken, '{}') : rpcError(idToken, METHOD_NOT_FOUND, 'Method not found', null);
    if (session !== null) this.#post(session, Buffer.from(answer), this.#pathTo(''));
  }

  onNoise(kind: 'not_json' | 'unmatched'): void {
    this.#deps.events.noise(this.name, kind);
  }

  onReply({ entry, session }: HttpCall, bytes: Buffer, message: UpstreamMessage): void {
    if (!this.#pending.remove(entry)) return;
    this.#link.noteReply(session);
    entry.sink?.onReply(replyToClient(bytes, message, entry), message.isError, message.errorCode);
  }

  onSessionLost(call: HttpCall): void {
    const { entry, session } = call;
    const isRenewed = !entry.isOwn && !call.isResent && session !== null && this.#link.renew(session);
    if (!isRenewed) return this.#fail(entry, UPSTREAM_FAILED, 'does not know its session');
    const current = this.#link.session;
    if (current !== null) this.#send(call.again(), current);
    else if (this.#held.isFull) this.#fail(entry, UPSTREAM_BUSY, 'too many requests wait for a new session');
    else this.#hold(call.again());
  }

  onFailed(call: HttpCall, refusal: Refusal, detail: string): void {
    if (!call.entry.isOwn) this.#link.noteFailure(call, detail);
    this.#fail(call.entry, refusal, detail, call.status === 0 || call.status >= 500 ? 'failed' : 'alive');
  }

  /** Until the server is heard again only the hard deadline holds: it works on. */
  onCut(call: HttpCall): void {
    const { entry, session, path } = call;
    if (session === null || !RESUMABLE_REVISIONS.has(session.info.protocolVersion))
      return this.onFailed(call, UPSTREAM_FAILED, 'ended its stream without an answer');
    entry.idleAtMs = entry.hardAtMs;
    call.fetchRest(() => {
      const headers = [...session.headers, 'last-event-id', call.position];
      return this.#client.send({ method: 'GET', path, headers, body: null }, call);
    });
  }

  /** Each stream belongs to one request: what names another is not passed on. */
  #relayed(entry: PendingEntry, bytes: Buffer, message: UpstreamMessage): Buffer | null {
    if (message.method === LOG_MESSAGE) return bytes;
    const isProgress = message.method === PROGRESS && internalId(bytes, message.tokenStart, message.tokenEnd) === entry.id;
    return isProgress ? progressToClient(bytes, message, entry) : null;
  }

  #send(call: HttpCall, session: HttpSession | null): void {
    call.session = session;
    call.entry.carrier = call;
    call.begin(this.#client.send({ method: 'POST', path: call.path, headers: session?.headers ?? this.#headers, body: call.bytes }, call));
  }

  #hold(call: HttpCall): void {
    call.entry.carrier = call;
    this.#held.push(call);
  }

  #post({ headers }: HttpSession, body: Buffer, path: string, isRepeatable = true): boolean {
    return this.#poster.send({ method: 'POST', path, headers, body }, this.#settings.timeoutMs, ignoreStatus, isRepeatable);
  }

  #onExpired(entry: PendingEntry, deadline: 'idle' | 'hard'): void {
    const { session } = this.#link;
    entry.carrier?.abandon();
    if (!entry.isOwn && session !== null) this.#post(session, cancelledNotification(entry.id, 'timed out'), this.#pathTo(''));
    entry.expired(deadline);
  }

  #fail(entry: PendingEntry, refusal: Refusal, detail: string, health?: Health): void {
    if (this.#pending.remove(entry)) entry.sink?.onFail(refusal, detail, health);
  }

  #pathTo(restPath: string): string {
    if (restPath === '') return this.#basePath + this.#query;
    return this.#basePath.replace(/\/$/, '') + restPath + this.#query;
  }
}
