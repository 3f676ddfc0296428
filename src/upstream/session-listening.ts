import type { IncomingHttpHeaders } from 'node:http';
import type { Clock, Timer } from '../core/clock.ts';
import {
  METHOD_NOT_ALLOWED,
  SESSION_UNKNOWN,
  STREAM_TAKEN,
  UPSTREAM_FAILED,
  UPSTREAM_INVALID,
  UPSTREAM_TOO_LARGE,
} from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { Listening, StreamMark, StreamSink } from '../core/upstream-session.ts';
import type { ListKind } from '../core/upstream.ts';
import { changedList } from '../mcp/list-request.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';
import type { HttpControl, HttpReceiver } from './http-client.ts';
import { MarkedEvents } from './session-events.ts';
import { mediaType } from './wire-text.ts';

/** Some servers send the head of a stream with its first event: after this long without one, the stream stands. */
const SILENT_HEAD_MS = 2000;

export interface ListeningOptions {
  readonly clock: Clock;
  readonly maxEventBytes: number;
  /** Only a stream that goes on behind a position may carry responses. */
  readonly isResumed: boolean;
  noise(kind: 'not_json' | 'unmatched'): void;
  listChanged(kind: ListKind): void;
  /** The upstream has forgotten the session. */
  lost(): void;
}

/** One GET of a session and the event stream that it answers with. */
export class SessionListening implements HttpReceiver, Listening {
  readonly #sink: StreamSink;
  readonly #options: ListeningOptions;
  readonly #events: MarkedEvents;
  #control: HttpControl | null = null;
  #silence: Timer | null = null;
  #isOpen = false;
  #isOver = false;

  constructor(sink: StreamSink, options: ListeningOptions) {
    this.#sink = sink;
    this.#options = options;
    this.#events = new MarkedEvents(options.maxEventBytes, (data, mark) => this.#onEvent(data, mark));
  }

  /** Called with what `HttpClient.send` returned. */
  begin(control: HttpControl): void {
    this.#control = control;
    this.#silence = this.#options.clock.after(SILENT_HEAD_MS, () => this.#open());
  }

  leave(): void {
    this.#stop();
  }

  resume(): void {
    this.#control?.resume();
  }

  onHead(status: number, headers: IncomingHttpHeaders): void {
    if (this.#isOver) return;
    if (status === 404) this.#options.lost();
    const refusal = refusalOf(status);
    if (refusal !== null) return this.#end(refusal, `answered HTTP ${status} to a GET`);
    const coding = headers['content-encoding'];
    const isStream = mediaType(headers['content-type']) === 'text/event-stream' && (coding === undefined || coding === 'identity');
    if (!isStream) return this.#end(UPSTREAM_INVALID, 'answered a GET with something that is no event stream');
    this.#open();
  }

  onData(chunk: Buffer): void {
    if (!this.#isOver && !this.#events.push(chunk)) this.#end(UPSTREAM_TOO_LARGE, 'sent an event that is too large');
  }

  onEnd(): void {
    this.#end(null, 'ended');
  }

  onError(error: Error): void {
    this.#end(this.#isOpen ? null : UPSTREAM_FAILED, `broke the connection: ${(error as NodeJS.ErrnoException).code ?? error.name}`);
  }

  #onEvent(data: Buffer, mark: StreamMark | undefined): void {
    if (this.#isOver) return;
    if (data.length === 0) return mark === undefined ? undefined : this.#sink.onMark(mark);
    const message = scanUpstreamMessage(data, { maxDepth: MAX_UPSTREAM_DEPTH });
    if (message === null) return this.#options.noise('not_json');
    const isResponse = message.kind === 'response';
    if (isResponse && !this.#options.isResumed) return this.#options.noise('unmatched');
    const changed = changedList(message.method);
    if (changed !== null) this.#options.listChanged(changed);
    if (!this.#sink.onMessage(data, isResponse, mark)) this.#control?.pause();
    if (isResponse && message.idStart >= 0) this.#sink.onAnswered?.(data.toString('utf8', message.idStart, message.idEnd));
  }

  #open(): void {
    this.#silence?.cancel();
    if (this.#isOpen || this.#isOver) return;
    this.#isOpen = true;
    this.#sink.onOpen();
  }

  #end(refusal: Refusal | null, detail: string): void {
    if (this.#isOver) return;
    this.#stop();
    this.#sink.onEnd(refusal, detail);
  }

  #stop(): void {
    this.#isOver = true;
    this.#silence?.cancel();
    this.#control?.abort();
  }
}

function refusalOf(status: number): Refusal | null {
  if (status === 200) return null;
  if (status === 405) return METHOD_NOT_ALLOWED;
  if (status === 409) return STREAM_TAKEN;
  return status === 404 ? SESSION_UNKNOWN : UPSTREAM_FAILED;
}
