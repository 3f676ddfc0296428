import type { IncomingHttpHeaders } from 'node:http';
import type { Clock, Timer } from '../core/clock.ts';
import { UPSTREAM_FAILED, UPSTREAM_INVALID, UPSTREAM_TOO_LARGE } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { StreamMark } from '../core/upstream-session.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import type { UpstreamMessage } from '../mcp/upstream-message.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';
import type { HttpControl, HttpReceiver } from './http-client.ts';
import type { HttpSession } from './http-session.ts';
import type { Carrier, PendingEntry } from './pending.ts';
import { Pieces } from './pieces.ts';
import { internalId } from './rewrite.ts';
import { MarkedEvents } from './session-events.ts';
import { StreamRest } from './stream-rest.ts';
import { mediaType, reasonOf } from './wire-text.ts';

/** What is left of a response after its outcome is known may take as long and be as large; then its connection closes. */
const LINGER_MS = 1000;
const LINGER_BYTES = 64 * 1024;

/** What a call finds out, in order. After `onReply`, `onSessionLost` or `onFailed` nothing follows. */
export interface CallListener {
  onStream(call: HttpCall): void;
  onNotification(call: HttpCall, bytes: Buffer, message: UpstreamMessage): void;
  onServerRequest(bytes: Buffer, message: UpstreamMessage): void;
  onNoise(kind: 'not_json' | 'unmatched'): void;
  onReply(call: HttpCall, bytes: Buffer, message: UpstreamMessage): void;
  /** 404 to a request with a session id: the upstream has forgotten the session and did nothing. */
  onSessionLost(call: HttpCall): void;
  onFailed(call: HttpCall, refusal: Refusal, detail: string): void;
  /** The stream ended before the answer, behind a position: `fetchRest` follows, or the end. Absent: in these revisions no stream is gone on with. */
  onCut?(call: HttpCall): void;
}

export interface CallOptions {
  readonly clock: Clock;
  readonly maxResponseBytes: number;
  /** 400 and 404 with a JSON-RPC error are answers (2026-07-28, Transports). */
  readonly areErrorsRead?: boolean;
}

/** One POST and its answer, as JSON or as an event stream. */
export class HttpCall implements HttpReceiver, Carrier {
  readonly entry: PendingEntry;
  readonly bytes: Buffer;
  readonly path: string;
  /** Sent a second time, in a new session. */
  isResent = false;
  session: HttpSession | null = null;
  /** HTTP status; 0 before the answer began. */
  status = 0;
  /** The connection could not be made. */
  isUnreachable = false;
  /** The answer's `Mcp-Session-Id`. */
  sessionHeader: string | string[] | undefined = undefined;
  readonly #listener: CallListener;
  readonly #options: CallOptions;
  #control: HttpControl | null = null;
  #mode: 'head' | 'json' | 'stream' | 'over' = 'head';
  readonly #parts = new Pieces();
  #partBytes = 0;
  #events: MarkedEvents | null = null;
  /** Of an event stream that may be gone on with. */
  #rest: StreamRest | null = null;
  #linger: Timer | null = null;
  #hasEnded = false;

  constructor(entry: PendingEntry, bytes: Buffer, path: string, options: CallOptions, listener: CallListener) {
    this.entry = entry;
    this.bytes = bytes;
    this.path = path;
    this.#options = options;
    this.#listener = listener;
  }

  /** Id of the last event that had one: where its stream goes on. */
  get position(): string {
    return this.#rest?.position ?? '';
  }

  /** Called with what `HttpClient.send` returned. */
  begin(control: HttpControl): void {
    this.#control = control;
  }

  /** The same call for a new session; this one is over. */
  again(): HttpCall {
    const call = new HttpCall(this.entry, this.bytes, this.path, this.#options, this.#listener);
    call.isResent = true;
    return call;
  }

  pause(): void {
    if (this.#mode === 'stream') this.#control?.pause();
  }

  resume(): void {
    this.#control?.resume();
  }

  /** Goes on with the stream that broke; `send` is the GET behind `position`, with this call as its receiver. */
  fetchRest(send: () => HttpControl): void {
    this.#rest?.fetch(this.#options.clock, () => {
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
    this.#rest?.cancel();
    this.#parts.clear();
    this.#linger?.cancel();
    this.#control?.abort();
  }

  onHead(status: number, headers: IncomingHttpHeaders): void {
    this.status = status;
    this.sessionHeader = headers['mcp-session-id'];
    if (this.#isFetched && status !== 200) return this.#onNoRest(status);
    if (status === 404 && this.session !== null && this.session.id !== null) return this.#over(() => this.#listener.onSessionLost(this));
    if (status !== 200 && !this.#isReadError(headers)) return this.#failStatus(status);
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
    // A broken connection is no worse than one that the upstream closed.
    if (this.position !== '') return this.#onStreamEnd();
    const code = (error as NodeJS.ErrnoException).code ?? error.name;
    this.#fail(UPSTREAM_FAILED, wasSent ? `broke the connection: ${code}` : `cannot be reached: ${reasonOf(error, code)}`);
  }

  #isReadError(headers: IncomingHttpHeaders): boolean {
    if (this.#options.areErrorsRead !== true || (this.status !== 400 && this.status !== 404)) return false;
    return mediaType(headers['content-type']) === 'application/json';
  }

  #failStatus(status: number): void {
    if (status >= 300 && status < 400)
      return this.#fail(UPSTREAM_FAILED, `answered with a redirect (HTTP ${status}), which is not followed`);
    if (status >= 400) return this.#fail(UPSTREAM_FAILED, `answered HTTP ${status}`);
    this.#fail(UPSTREAM_INVALID, `answered HTTP ${status} to a request`);
  }

  #onContent(type: string, declaredBytes: number): void {
    this.#partBytes = 0;
    if (type === 'application/json' && !this.#isFetched) {
      this.#mode = 'json';
      if (declaredBytes > this.#options.maxResponseBytes) this.#failLarge();
    } else if (type === 'text/event-stream') {
      this.#mode = 'stream';
      if (this.#listener.onCut !== undefined) this.#rest ??= new StreamRest();
      this.#events = new MarkedEvents(this.#options.maxResponseBytes, (data, mark) => this.#onEvent(data, mark));
      this.#listener.onStream(this);
    } else {
      this.#fail(UPSTREAM_INVALID, 'answered with another content type than JSON or an event stream');
    }
  }

  #onJson(bytes: Buffer): void {
    const message = scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH });
    if (this.status !== 200 && (message === null || !message.isError || !this.#isMine(bytes, message)))
      return this.#failStatus(this.status);
    if (message === null) return this.#fail(UPSTREAM_INVALID, 'answered with something that is no JSON-RPC message');
    if (message.kind !== 'response' || !this.#isMine(bytes, message))
      return this.#fail(UPSTREAM_INVALID, 'answered with a message that is no answer to the request');
    this.#over(() => this.#listener.onReply(this, bytes, message));
  }

  get #isFetched(): boolean {
    return this.#rest?.isFetched === true;
  }

  /** It has not noticed yet that the other connection is gone (409); else it has no such stream. Nothing is sent anew: the request was taken. */
  #onNoRest(status: number): void {
    if (status === 409) return this.#onStreamEnd();
    this.#fail(UPSTREAM_FAILED, `answered HTTP ${status} when it was asked for the rest of its stream`);
  }

  #onStreamEnd(): void {
    if (this.position === '') return this.#fail(UPSTREAM_FAILED, 'ended its stream without an answer');
    this.#over(() => this.#listener.onCut?.(this));
  }

  #onEvent(data: Buffer, mark: StreamMark | undefined): void {
    if (this.#mode === 'over') return;
    this.#rest?.note(mark);
    if (data.length === 0) return;
    const message = scanUpstreamMessage(data, { maxDepth: MAX_UPSTREAM_DEPTH });
    if (message === null) return this.#listener.onNoise('not_json');
    if (message.kind === 'notification') return this.#listener.onNotification(this, data, message);
    if (message.kind === 'request') return this.#listener.onServerRequest(data, message);
    if (!this.#isMine(data, message)) {
      return this.#isFetched ? this.#listener.onNoise('unmatched') : this.#fail(UPSTREAM_INVALID, 'answered another request');
    }
    this.#over(() => this.#listener.onReply(this, data, message));
  }

  #isMine(bytes: Buffer, message: UpstreamMessage): boolean {
    return internalId(bytes, message.idStart, message.idEnd) === this.entry.id;
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
