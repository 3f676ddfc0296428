import type { HttpSettings, UpstreamSettings } from '../core/config.ts';
import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_BUSY, UPSTREAM_DOWN } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { Health, InFlight, ListKind, ModernInfo, ReplySink, RequestOptions } from '../core/upstream.ts';
import { usableTools } from '../mcp/usable-tools.ts';
import { changedList } from '../mcp/list-request.ts';
import { mayRepeat } from '../mcp/methods.ts';
import { DISCOVER, fitsHeader, LISTEN } from '../mcp/modern-methods.ts';
import { gatewayRequest } from '../mcp/modern-request.ts';
import { argumentsOf, paramHeaders } from '../mcp/param-headers.ts';
import { withSubscriptionId } from '../mcp/subscription-id.ts';
import type { UpstreamMessage } from '../mcp/upstream-message.ts';
import { checkHeaders } from './check.ts';
import { deadlinesOf } from './deadlines.ts';
import type { UpstreamDeps } from './deps.ts';
import { HttpCall } from './http-call.ts';
import type { CallListener, CallOptions } from './http-call.ts';
import type { HttpClient } from './http-client.ts';
import { HttpPoster } from './http-poster.ts';
import { commonHeaders } from './http-session.ts';
import { WireClient } from './http-wire.ts';
import { MirroredCall } from './mirrored-call.ts';
import { ModernFlight } from './modern-flight.ts';
import { ModernHeaders } from './modern-headers.ts';
import { ModernLink } from './modern-link.ts';
import type { ModernLinkHost, ProbeAnswer } from './modern-link.ts';
import type { EraVerdict, ModernSide, ModernSideHost } from './modern-side.ts';
import { OwnCall } from './own-call.ts';
import { PendingTable } from './pending.ts';
import type { PendingEntry } from './pending.ts';
import { CANCELLED, cancelNamed, internalId, LOG_MESSAGE, PROGRESS, progressToClient, replyToClient, toUpstream } from './rewrite.ts';
import { checkUrl, guardedLookup } from './ssrf.ts';
import { ToolHeaders } from './tool-headers.ts';

const MAX_PENDING = 4096;

const ignoreStatus = (): void => {};

/**
 * A server reached by Streamable HTTP of revision 2026-07-28: every request stands for itself, and closing its response cancels it.
 * Of the client's head only `Mcp-Param-*` goes there; the other headers are made from the body.
 */
export class ModernHttp implements ModernSide, CallListener, ModernLinkHost {
  readonly isReturning = false;
  readonly isOwn = false;
  readonly #settings: UpstreamSettings;
  readonly #deps: UpstreamDeps;
  readonly pid = null;
  readonly #host: ModernSideHost;
  readonly #pending: PendingTable;
  readonly #callOptions: CallOptions;
  readonly #headers: ModernHeaders;
  readonly #url: URL;
  readonly #isRefused: boolean;
  readonly #client: HttpClient;
  readonly #poster: HttpPoster;
  readonly #link: ModernLink;
  readonly #tools: ToolHeaders;
  /** Requests for tools. */
  readonly #lists = new WeakSet<PendingEntry>();
  /** What the server said of itself last: another one may be there now. */
  #said = '';

  constructor(settings: UpstreamSettings, http: HttpSettings, deps: UpstreamDeps, host: ModernSideHost) {
    const { clock } = deps;
    this.#settings = settings;
    this.#deps = deps;
    this.#host = host;
    this.#pending = new PendingTable({
      clock,
      maxEntries: settings.maxConcurrency > 0 ? settings.maxConcurrency : MAX_PENDING,
      deadlinesOf: deadlinesOf(settings, deps),
      onExpired: (entry, deadline) => this.#onExpired(entry, deadline),
    });
    this.#callOptions = { clock, maxResponseBytes: settings.maxResponseBytes, areErrorsRead: true };
    this.#headers = new ModernHeaders(commonHeaders(http.headers, deps.version));
    this.#isRefused = (checkUrl(http.url, http) ?? checkHeaders(http.headers)) !== null;
    this.#url = URL.parse(http.url) ?? new URL('http://invalid.invalid/');
    this.#client = new WireClient(this.#url.origin === 'null' ? 'http://invalid.invalid' : this.#url.origin, guardedLookup(http), clock);
    this.#poster = new HttpPoster(this.#client, clock);
    this.#link = new ModernLink(clock, this);
    this.#tools = new ToolHeaders(clock, (cursor, done) => this.#listTools(cursor, done));
    deps.news?.join(settings.name, {
      isShared: true,
      onChange: (change) => ('list' in change ? deps.events.listChanged(settings.name, change.list) : undefined),
      onInterest: () => undefined,
    });
  }

  get info(): ModernInfo | null {
    return this.#link.info;
  }

  get isUp(): boolean {
    return this.#link.isUp;
  }

  get verdict(): EraVerdict {
    return this.#isRefused ? 'unknown' : this.#link.verdict;
  }

  get isUnreachable(): boolean {
    return this.#link.isUnreachable;
  }

  get detail(): string {
    return this.#link.detail;
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  /** All workers reach the same server. */
  has(): boolean {
    return false;
  }

  start(): void {
    if (!this.#isRefused && this.#link.verdict === 'asking') this.#link.probe();
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const { method } = message;
    const params = options.modern?.params ?? null;
    if (params !== 'from_body') return this.#pass(message, options, sink, params);
    if (method !== 'tools/call') return this.#pass(message, options, sink, null);
    return new MirroredCall(this.#tools, message, (declared, mirrored) =>
      this.#pass(message, options, mirrored, paramHeaders(declared, argumentsOf(message))),
    ).begin(sink);
  }

  #pass(message: Envelope, options: RequestOptions, sink: ReplySink, params: readonly string[] | null): InFlight | Refusal {
    if (!this.#link.isUp) return UPSTREAM_DOWN;
    const isOpen = message.method === LISTEN;
    const entry = this.#pending.add(message, options.principalKey, sink, isOpen);
    if (entry === null) return UPSTREAM_BUSY;
    if (message.method === 'tools/list') this.#lists.add(entry);
    const call = new HttpCall(entry, toUpstream(message, entry), this.#pathTo(options.restPath), this.#callOptions, this);
    this.#send(call, this.#headers.of(message, params));
    return new ModernFlight(entry, this.#pending);
  }

  notify(message: Envelope, options: RequestOptions): Refusal | null {
    if (!this.#link.isUp) return UPSTREAM_DOWN;
    if (message.method === CANCELLED) return cancelNamed(message, options.principalKey, this.#pending);
    // Of an older revision, whose names are not repeated in a header: no server of this one can know it.
    if (!fitsHeader(message.method)) return null;
    const request = {
      method: 'POST' as const,
      path: this.#pathTo(options.restPath),
      headers: this.#headers.of(message, null),
      body: message.bytes,
    };
    return this.#poster.send(request, this.#settings.timeoutMs, ignoreStatus, mayRepeat(message)) ? null : UPSTREAM_BUSY;
  }

  async close(): Promise<void> {
    this.#link.close();
    this.#pending.failAll(UPSTREAM_DOWN, 'closed');
    await this.#client.close();
  }

  // ModernLinkHost

  probe(timeoutMs: number, done: (answer: ProbeAnswer) => void): void {
    const entry = this.#pending.addOwn(
      new OwnCall((outcome) => done({ outcome, status: call.status, isUnreachable: call.isUnreachable })),
      timeoutMs,
    );
    const call = new HttpCall(entry, gatewayRequest(entry.id, DISCOVER, '', this.#deps.version), this.#pathTo(''), this.#callOptions, this);
    this.#send(call, this.#headers.ofMethod(DISCOVER));
  }

  #listTools(cursor: string | null, done: (reply: Buffer | null) => void): void {
    const entry = this.#pending.addOwn(new OwnCall(({ bytes }) => done(bytes)), this.#settings.timeoutMs);
    const params = cursor === null ? '' : `"cursor":${JSON.stringify(cursor)}`;
    const bytes = gatewayRequest(entry.id, 'tools/list', params, this.#deps.version);
    this.#send(new HttpCall(entry, bytes, this.#pathTo(''), this.#callOptions, this), this.#headers.ofMethod('tools/list'));
  }

  isAlone(): boolean {
    return this.#host.isAlone();
  }

  onChange(): void {
    const said = this.info?.discover ?? this.#said;
    if (this.#said !== '' && said !== this.#said) this.#deps.events.listChanged(this.#settings.name, null);
    this.#said = said;
    this.#host.onChange();
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
    if (changed !== null) this.#onChanged(changed);
    const relayed = relayedTo(entry, bytes, message);
    if (relayed === null) return this.#deps.events.noise(this.#settings.name, 'unmatched');
    this.#pending.touch(entry);
    if (entry.sink !== null && !entry.sink.onMessage(relayed)) call.pause();
  }

  /** The server tells each worker's clients itself; what other workers keep of its lists is old, too. */
  #onChanged(list: ListKind): void {
    const { events, news } = this.#deps;
    events.listChanged(this.#settings.name, list);
    news?.told(this.#settings.name, { list });
  }

  /** This revision has no requests from server to client. */
  onServerRequest(): void {
    this.#deps.events.noise(this.#settings.name, 'server_request');
  }

  onNoise(kind: 'not_json' | 'unmatched'): void {
    this.#deps.events.noise(this.#settings.name, kind);
  }

  onReply({ entry }: HttpCall, bytes: Buffer, message: UpstreamMessage): void {
    if (!this.#pending.remove(entry)) return;
    const reply = this.#usable(entry, replyToClient(bytes, message, entry));
    const tagged = entry.isOpen ? (withSubscriptionId(reply, entry.id, entry.idToken) ?? reply) : reply;
    entry.sink?.onReply(tagged, message.isError, message.errorCode);
  }

  /** Without sessions there is none to lose. */
  onSessionLost(call: HttpCall): void {
    this.onFailed(call, UPSTREAM_DOWN, 'answered HTTP 404');
  }

  onFailed(call: HttpCall, refusal: Refusal, detail: string): void {
    if (call.isUnreachable && !call.entry.isOwn) this.#link.noteUnreachable(detail);
    this.#fail(call.entry, refusal, detail, call.status === 0 || call.status >= 500 ? 'failed' : 'alive');
  }

  /** Tools with malformed annotations must not be used over HTTP: they are left out of the list. */
  #usable(entry: PendingEntry, reply: Buffer): Buffer {
    if (!this.#lists.has(entry)) return reply;
    const usable = usableTools(reply);
    for (let count = 0; count < usable.dropped; count += 1) this.#deps.events.noise(this.#settings.name, 'bad_annotation');
    return usable.reply;
  }

  #send(call: HttpCall, headers: readonly string[]): void {
    call.entry.carrier = call;
    call.begin(this.#client.send({ method: 'POST', path: call.path, headers, body: call.bytes }, call));
  }

  #onExpired(entry: PendingEntry, deadline: 'idle' | 'hard'): void {
    entry.carrier?.abandon();
    entry.expired(deadline);
  }

  #fail(entry: PendingEntry, refusal: Refusal, detail: string, health: Health): void {
    if (this.#pending.remove(entry)) entry.sink?.onFail(refusal, detail, health);
  }

  #pathTo(restPath: string): string {
    const { pathname, search } = this.#url;
    return (restPath === '' ? pathname : pathname.replace(/\/$/, '') + restPath) + search;
  }
}

/** Each stream belongs to one request: what names another is not passed on. Null: nothing for the client. */
function relayedTo(entry: PendingEntry, bytes: Buffer, message: UpstreamMessage): Buffer | null {
  if (entry.isOpen) return withSubscriptionId(bytes, entry.id, entry.idToken);
  if (message.method === LOG_MESSAGE) return bytes;
  const isProgress = message.method === PROGRESS && internalId(bytes, message.tokenStart, message.tokenEnd) === entry.id;
  return isProgress ? progressToClient(bytes, message, entry) : null;
}
