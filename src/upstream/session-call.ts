import type { IncomingHttpHeaders } from 'node:http';
import type { Clock, Timer } from '../core/clock.ts';
import { SESSION_UNKNOWN, UPSTREAM_FAILED, UPSTREAM_INVALID, UPSTREAM_TOO_LARGE } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { StreamMark } from '../core/upstream-session.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import type { UpstreamMessage } from '../mcp/upstream-message.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';
import type { HttpControl, HttpReceiver } from './http-client.ts';
import type { Carrier, PendingEntry } from './pending.ts';
import { Pieces } from './pieces.ts';
import { MarkedEvents } from './session-events.ts';
import { StreamRest } from './stream-rest.ts';
import { mediaType, reasonOf } from './wire-text.ts';

/** What is left of a response after its outcome is known may take as long and be as large; then its connection closes. */
const LINGER_MS = 1000;
const LINGER_BYTES = 64 * 1024;

/** What a call of a session finds out, in order. After `onReply` or `onFailed` nothing follows. */
export interface SessionCallListener {
  onStream(call: SessionCall): void;
  /** A notification or a request of the server. */
  onMessage(call: SessionCall, bytes: Buffer, message: UpstreamMessage, mark: StreamMark | undefined): void;
  onMark(call: SessionCall, mark: StreamMark): void;
  onReply(call: SessionCall, bytes: Buffer, message: UpstreamMessage, mark: StreamMark | undefined): void;
  /** The stream ended after a position: the reply comes on another one. `onExpired` may follow. */
  onDeferred(call: SessionCall): void;
  /** The same for a client that cannot fetch it: `fetchRest` follows, or the end. */
  onCut(call: SessionCall): void;
  onFailed(call: SessionCall, refusal: Refusal, detail: string): void;
  /** Its deadline has passed; the client has been told otherwise. */
  onExpired(call: SessionCall): void;
  onNoise(kind: 'not_json' | 'unmatched'): void;
}

export interface SessionCallOptions {
  readonly clock: Clock;
  readonly maxResponseBytes: number;
}

/** One POST of a client's own session and its answer. Like `HttpCall`, but ids are the client's, and streams have positions. */
export class SessionCall implements HttpReceiver, Carrier {
  readonly entry: PendingEntry;
  /** HTTP status; 0 before the answer began. */
  status = 0;
  isUnreachable = false;
  /** Of the server's, for the rest of the stream as well. */
  path = '';
  /** Nobody but the session itself fetches the rest of its stream. */
  isFetchedHere = false;
  /** The answer's `Mcp-Session-Id`. */
  sessionHeader: string | string[] | undefined = undefined;
  readonly #listener: SessionCallListener;
  readonly #options: SessionCallOptions;
  /** A 404 means that the session is forgotten. */
  readonly #isInSession: boolean;
  #control: HttpControl | null = null;
  #mode: 'head' | 'json' | 'stream' | 'over' = 'head';
  readonly #parts = new Pieces();
  #partBytes = 0;
  #events: MarkedEvents | null = null;
  #linger: Timer | null = null;
  #hasEnded = false;
  readonly #rest = new StreamRest();

  constructor(entry: PendingEntry, isInSession: boolean, options: SessionCallOptions, listener: SessionCallListener) {
    this.entry = entry;
    this.#isInSession = isInSession;
    this.#options = options;
    this.#listener = listener;
  }

  /** Id of the last event that had one: where its stream goes on. */
  get position(): string {
    return this.#rest.position;
  }

  /** Called with what `HttpClient.send` returned. */
  begin(control: HttpControl): void {
    this.#control = control;
  }

  pause(): void {
    if (this.#mode === 'stream') this.#control?.pause();
  }

  resume(): void {
    this.#control?.resume();
  }

  /** The client can come back for the rest, and upstreams serve a stream to one connection only. */
  left(): void {
    if (this.#mode !== 'stream' || this.position === '' || this.isFetchedHere) return;
    this.abandon();
    this.#listener.onDeferred(this);
  }

  /**
   * Goes on with the stream that broke. `send` is the GET behind `position`, with this call as its receiver.
   */
  fetchRest(send: () => HttpControl): void {
    this.#rest.fetch(this.#options.clock, () => {
      // Of a conflict whose answer has not ended: what would end that must not end this.
      this.#linger?.cancel();
      if (!this.#hasEnded) this.#control?.abort();
      this.#mode = 'head';
      this.#hasEnded = false;
      this.#control = send();
    });
  }

  abandon(): void {
    this.#mode = 'over';
    this.#rest.cancel();
    this.#parts.clear();
    this.#linger?.cancel();
    this.#control?.abort();
  }

  /** The table's: the deadline has passed, and the upstream is told. */
  expire(): void {
    this.abandon();
    this.#listener.onExpired(this);
  }

  onHead(status: number, headers: IncomingHttpHeaders): void {
    this.status = status;
    this.sessionHeader = headers['mcp-session-id'];
    // It has not noticed yet that the other connection is gone.
    if (status === 409 && this.#rest.isFetched) return this.#onStreamEnd();
    if (status === 404 && this.#isInSession) return this.#fail(SESSION_UNKNOWN, 'has forgotten the session');
    if (status >= 300 && status < 400)
      return this.#fail(UPSTREAM_FAILED, `answered with a redirect (HTTP ${status}), which is not followed`);
    if (status >= 400) return this.#fail(UPSTREAM_FAILED, `answered HTTP ${status}`);
    if (status !== 200) return this.#fail(UPSTREAM_INVALID, `answered HTTP ${status} to a request`);
    const coding = headers['content-encoding'];
    if (coding !== undefined && coding !== 'identity') return this.#fail(UPSTREAM_INVALID, 'answered with a content coding');
    this.#onContent(mediaType(headers['content-type']), Number(headers['content-length'] ?? 0));
  }

  onData(chunk: Buffer): void {
    this.#partBytes += chunk.length;
    if (this.#mode === 'over') {
      if (this.#partBytes > LINGER_BYTES) this.abandon();
    } else if (this.#mode === 'stream') {
      if (this.#events?.push(chunk) === false) this.#failLarge();
    } else if (this.#partBytes > this.#options.maxResponseBytes) {
      this.#failLarge();
    } else {
      this.#parts.push(chunk);
    }
  }

  onEnd(): void {
    const mode = this.#mode;
    this.#hasEnded = true;
    this.#linger?.cancel();
    if (mode === 'json') this.#onJson(this.#parts.take());
    if (mode === 'stream') this.#onStreamEnd();
  }

  onError(error: Error, wasSent: boolean): void {
    this.#hasEnded = true;
    this.#linger?.cancel();
    if (this.#mode === 'over') return;
    this.isUnreachable = !wasSent;
    const code = (error as NodeJS.ErrnoException).code ?? error.name;
    // A broken connection is no worse for a client that has a position than one that the upstream closed.
    if (this.position !== '') return this.#onStreamEnd();
    this.#fail(UPSTREAM_FAILED, wasSent ? `broke the connection: ${code}` : `cannot be reached: ${reasonOf(error, code)}`);
  }

  #onContent(type: string, declaredBytes: number): void {
    this.#partBytes = 0;
    if (type === 'application/json' && !this.#rest.isFetched) {
      this.#mode = 'json';
      if (declaredBytes > this.#options.maxResponseBytes) this.#failLarge();
    } else if (type === 'text/event-stream') {
      this.#mode = 'stream';
      this.#events = new MarkedEvents(this.#options.maxResponseBytes, (data, mark) => this.#onEvent(data, mark));
      if (!this.#rest.isFetched) this.#listener.onStream(this);
    } else {
      this.#fail(UPSTREAM_INVALID, 'answered with another content type than JSON or an event stream');
    }
  }

  #onStreamEnd(): void {
    if (this.position === '') return this.#fail(UPSTREAM_FAILED, 'ended its stream without an answer');
    this.#over(() => (this.isFetchedHere ? this.#listener.onCut(this) : this.#listener.onDeferred(this)));
  }

  #onJson(bytes: Buffer): void {
    const message = scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH });
    if (message === null) return this.#fail(UPSTREAM_INVALID, 'answered with something that is no JSON-RPC message');
    if (message.kind !== 'response' || !this.#isMine(bytes, message))
      return this.#fail(UPSTREAM_INVALID, 'answered with a message that is no answer to the request');
    this.#over(() => this.#listener.onReply(this, bytes, message, undefined));
  }

  #onEvent(data: Buffer, mark: StreamMark | undefined): void {
    if (this.#mode === 'over') return;
    this.#rest.note(mark);
    if (data.length === 0) return mark === undefined ? undefined : this.#listener.onMark(this, mark);
    const message = scanUpstreamMessage(data, { maxDepth: MAX_UPSTREAM_DEPTH });
    if (message === null) return this.#listener.onNoise('not_json');
    if (message.kind !== 'response') return this.#listener.onMessage(this, data, message, mark);
    if (!this.#isMine(data, message)) {
      return this.#rest.isFetched ? this.#listener.onNoise('unmatched') : this.#fail(UPSTREAM_INVALID, 'answered another request');
    }
    this.#over(() => this.#listener.onReply(this, data, message, mark));
  }

  /** Upstreams may write an id in another way than the client did: the value counts, as they understand it. */
  #isMine(bytes: Buffer, message: UpstreamMessage): boolean {
    if (message.idStart < 0) return false;
    const token = bytes.toString('utf8', message.idStart, message.idEnd);
    return token === this.entry.idToken || JSON.parse(token) === JSON.parse(this.entry.idToken);
  }

  #failLarge(): void {
    this.#fail(UPSTREAM_TOO_LARGE, `answered with more than ${this.#options.maxResponseBytes} bytes`);
    this.abandon();
  }

  #fail(refusal: Refusal, detail: string): void {
    this.#over(() => this.#listener.onFailed(this, refusal, detail));
  }

  /** The outcome is known. The rest of the response is read a little longer, so that its connection can be used again. */
  #over(tell: () => void): void {
    this.#mode = 'over';
    this.#parts.clear();
    this.#partBytes = 0;
    this.#events = null;
    if (!this.#hasEnded) {
      this.#linger = this.#options.clock.after(LINGER_MS, () => this.#control?.abort());
      this.#control?.resume();
    }
    tell();
  }
}
