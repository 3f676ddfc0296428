import type { Envelope } from '../core/envelope.ts';
import { METHOD_UNKNOWN, SESSION_UNKNOWN, UPSTREAM_BUSY, UPSTREAM_DOWN, UPSTREAM_INVALID } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InFlight, ListKind, ReplySink, RequestOptions, UpstreamInfo } from '../core/upstream.ts';
import type {
  ClientHello,
  Listening,
  SessionAgreement,
  SessionPlace,
  StreamMark,
  StreamSink,
  UpstreamSession,
} from '../core/upstream-session.ts';
import { changedList } from '../mcp/list-request.ts';
import { mayRepeat } from '../mcp/methods.ts';
import { ownBytes } from '../mcp/own-bytes.ts';
import { splice } from '../mcp/splice.ts';
import type { UpstreamMessage } from '../mcp/upstream-message.ts';
import { cancelledByToken, initializeFor, readInitializeReply } from './handshake.ts';
import type { HttpClient } from './http-client.ts';
import type { HttpPoster } from './http-poster.ts';
import { readSessionId, sessionHeaders } from './http-session.ts';
import type { Partings } from './partings.ts';
import type { PendingEntry, PendingTable } from './pending.ts';
import { CANCELLED, replyToClient } from './rewrite.ts';
import { SessionListening } from './session-listening.ts';
import { SessionCall, type SessionCallListener, type SessionCallOptions } from './session-call.ts';

/** What a session needs of its upstream. */
export interface SessionHost {
  readonly isDown: boolean;
  readonly client: HttpClient;
  readonly poster: HttpPoster;
  readonly partings: Partings;
  readonly pending: PendingTable;
  readonly callOptions: SessionCallOptions;
  /** Common headers, without version and session. */
  readonly headers: readonly string[];
  readonly timeoutMs: number;
  pathTo(restPath: string): string;
  noise(kind: 'not_json' | 'unmatched'): void;
  /** The server said so to one client; what is kept for the others is old, too. */
  listChanged(kind: ListKind): void;
  /** What the server said of itself to one client. */
  agreed(info: UpstreamInfo): void;
  /** A request failed, of any session. */
  failed(call: SessionCall, detail: string): void;
}

/** Where a session comes from: a client's `initialize`, or what another worker sealed. */
export type SessionOrigin = { readonly hello: ClientHello } | { readonly place: SessionPlace };

/** One client's own session with a server reached by Streamable HTTP. It holds no connection, so any worker can go on with it. */
export class HttpOwnSession implements UpstreamSession, SessionCallListener {
  agreement: SessionAgreement | null = null;
  place: SessionPlace | null = null;
  readonly #host: SessionHost;
  /** Until it was sent. */
  #hello: ClientHello | null;
  #headers: readonly string[];
  /** The upstream's id; empty before `initialize` was answered. Requests of the session are found under it. */
  #id = '';
  /** The upstream has forgotten it, or was told to. */
  #isGone = false;

  constructor(host: SessionHost, origin: SessionOrigin) {
    this.#host = host;
    this.#hello = 'hello' in origin ? origin.hello : null;
    this.#headers = host.headers;
    if ('place' in origin) this.#settle(origin.place);
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const isFirst = this.place === null;
    if (isFirst && (message.method !== 'initialize' || this.agreement !== null)) return METHOD_UNKNOWN;
    if (this.#isGone) return SESSION_UNKNOWN;
    if (this.#host.isDown) return UPSTREAM_DOWN;
    const entry = this.#host.pending.add(message, this.#id, sink);
    if (entry === null) return UPSTREAM_BUSY;
    const call = new SessionCall(entry, !isFirst, this.#host.callOptions, this);
    call.isFetchedHere = options.isFetchedHere === true;
    const body = isFirst && this.#hello !== null ? initializeFor(this.#hello, entry.idToken) : withoutTask(message);
    this.#hello = null;
    entry.carrier = call;
    call.path = this.#host.pathTo(options.restPath);
    const { path } = call;
    call.begin(this.#host.client.send({ method: 'POST', path, headers: this.#headers, body }, call));
    return entry;
  }

  notify(message: Envelope, options: RequestOptions, taken?: () => void): Refusal | null {
    const cancelled = this.#cancelledBy(message);
    const lost = this.#post(message.bytes, options, mayRepeat(message), taken);
    if (lost === null && cancelled !== null) this.#host.pending.cancel(cancelled);
    return lost;
  }

  respond(message: Envelope, options: RequestOptions): Refusal | null {
    return this.#post(message.bytes, options, mayRepeat(message));
  }

  listen(lastEventId: string, options: RequestOptions, sink: StreamSink): Listening | Refusal {
    if (this.#isGone) return SESSION_UNKNOWN;
    if (this.#host.isDown || this.place === null) return UPSTREAM_DOWN;
    const { clock, maxResponseBytes: maxEventBytes } = this.#host.callOptions;
    const listening = new SessionListening(sink, {
      clock,
      maxEventBytes,
      isResumed: lastEventId !== '',
      noise: (kind) => this.#host.noise(kind),
      listChanged: (kind) => this.#host.listChanged(kind),
      lost: () => this.#over(),
    });
    const headers = lastEventId === '' ? this.#headers : [...this.#headers, 'last-event-id', lastEventId];
    listening.begin(this.#host.client.send({ method: 'GET', path: this.#host.pathTo(options.restPath), headers, body: null }, listening));
    return listening;
  }

  cancelled(idToken: string): void {
    const entry = this.#host.pending.findByClientId(this.#id, idToken);
    if (entry !== null) this.#host.pending.cancel(entry);
  }

  close(closed?: () => void): void {
    if (this.#isGone || this.place === null) return closed?.();
    this.#isGone = true;
    const request = { method: 'DELETE' as const, path: this.#host.pathTo(''), headers: this.#headers, body: null };
    if (closed === undefined) return this.#host.partings.add(request);
    const onStatus = (status: number): void => {
      if (status === 404 || (status >= 200 && status < 300)) this.#over();
      closed();
    };
    if (!this.#host.poster.send(request, this.#host.timeoutMs, onStatus, true)) closed();
  }

  // SessionCallListener

  onStream({ entry }: SessionCall): void {
    if (entry.isStreaming) return;
    entry.isStreaming = true;
    entry.sink?.onStream();
  }

  onMessage(call: SessionCall, bytes: Buffer, message: UpstreamMessage, mark: StreamMark | undefined): void {
    const { entry } = call;
    this.#host.pending.touch(entry);
    const changed = changedList(message.method);
    if (changed !== null) this.#host.listChanged(changed);
    // Whoever is asked may be a person: only the hard deadline holds until the server is heard again.
    if (message.kind === 'request') entry.idleAtMs = entry.hardAtMs;
    if (entry.sink !== null && !entry.sink.onMessage(bytes, mark)) call.pause();
  }

  onMark({ entry }: SessionCall, mark: StreamMark): void {
    this.#host.pending.touch(entry);
    entry.sink?.onMark?.(mark);
  }

  onReply(call: SessionCall, bytes: Buffer, message: UpstreamMessage, mark: StreamMark | undefined): void {
    const { entry } = call;
    const fault = this.place === null && !message.isError ? this.#agree(call, bytes) : null;
    if (fault !== null) return this.onFailed(call, UPSTREAM_INVALID, fault);
    if (this.#host.pending.remove(entry)) {
      entry.sink?.onReply(replyToClient(bytes, message, entry), message.isError, message.errorCode, mark);
    }
  }

  /** Over when its reply was seen, by whatever worker (`cancelled`), or at its hard deadline: the server works on. */
  onDeferred(call: SessionCall): void {
    const { entry } = call;
    if (this.place === null) return this.onFailed(call, UPSTREAM_INVALID, 'put the answer to initialize off');
    entry.defer();
    entry.sink?.onDeferred?.();
  }

  /** Until the server is heard again only the hard deadline holds: it works on. */
  onCut(call: SessionCall): void {
    const { entry } = call;
    if (this.place === null) return this.onFailed(call, UPSTREAM_INVALID, 'put the answer to initialize off');
    entry.idleAtMs = entry.hardAtMs;
    const { path } = call;
    call.fetchRest(() => {
      const headers = [...this.#headers, 'last-event-id', call.position];
      return this.#host.client.send({ method: 'GET', path, headers, body: null }, call);
    });
  }

  onFailed(call: SessionCall, refusal: Refusal, detail: string): void {
    if (refusal === SESSION_UNKNOWN) this.#over();
    else this.#host.failed(call, detail);
    const health = call.status === 0 || call.status >= 500 ? 'failed' : 'alive';
    if (this.#host.pending.remove(call.entry)) call.entry.sink?.onFail(refusal, detail, health);
  }

  onExpired({ entry }: SessionCall): void {
    if (this.place !== null) this.#post(cancelledByToken(entry.idToken, 'timed out'), { restPath: '', principalKey: '' }, true);
  }

  onNoise(kind: 'not_json' | 'unmatched'): void {
    this.#host.noise(kind);
  }

  /** Null, or what is wrong with the upstream's answer to `initialize`. */
  #agree(call: SessionCall, bytes: Buffer): string | null {
    const info = readInitializeReply(bytes);
    if (typeof info === 'string') return info;
    const id = readSessionId(call.sessionHeader);
    if (id === undefined) return 'answered initialize with a malformed session id';
    const place: SessionPlace | null =
      id === null ? null : { kind: 'http', revision: info.protocolVersion, bytes: Buffer.from(id, 'latin1') };
    if (place !== null) this.#settle(place);
    this.agreement = { info, place: this.place };
    this.#host.agreed(info);
    return null;
  }

  #settle(place: SessionPlace): void {
    this.place = { ...place, bytes: ownBytes(place.bytes) };
    this.#id = place.bytes.toString('latin1');
    this.#headers = sessionHeaders(this.#host.headers, place.revision, this.#id);
  }

  /** The upstream works on nothing of it any more: what is to be fetched will not be there. */
  #over(): void {
    this.#isGone = true;
    const { pending } = this.#host;
    for (const entry of pending.list()) if (entry.isDeferred && entry.principalKey === this.#id) pending.cancel(entry);
  }

  /** The client's request that its `notifications/cancelled` names, when it is under way in this worker. */
  #cancelledBy(message: Envelope): PendingEntry | null {
    if (message.method !== CANCELLED || message.requestIdStart < 0) return null;
    const idToken = message.bytes.toString('utf8', message.requestIdStart, message.requestIdEnd);
    return this.#host.pending.findByClientId(this.#id, idToken);
  }

  #post(body: Buffer, { restPath }: RequestOptions, isRepeatable: boolean, taken?: () => void): Refusal | null {
    if (this.#isGone) return SESSION_UNKNOWN;
    if (this.#host.isDown || this.place === null) return UPSTREAM_DOWN;
    const request = { method: 'POST' as const, path: this.#host.pathTo(restPath), headers: this.#headers, body };
    const onStatus = (status: number): void => {
      if (status === 404) this.#over();
      taken?.();
    };
    return this.#host.poster.send(request, this.#host.timeoutMs, onStatus, isRepeatable) ? null : UPSTREAM_BUSY;
  }
}

/** Tasks are not offered (`Envelope.taskStart`). */
function withoutTask({ bytes, taskStart: start, taskEnd: end }: Envelope): Buffer {
  return start < 0 ? bytes : splice(bytes, [{ start, end, text: '' }]);
}
