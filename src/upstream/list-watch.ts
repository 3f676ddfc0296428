import type { IncomingHttpHeaders } from 'node:http';
import type { Clock, Timer } from '../core/clock.ts';
import type { ListKind } from '../core/upstream.ts';
import { changedList } from '../mcp/list-request.ts';
import { SseDecoder } from '../mcp/sse.ts';
import { scanUpstreamMessage, type UpstreamMessage } from '../mcp/upstream-message.ts';
import { Backoff } from './backoff.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';
import type { HttpClient, HttpControl, HttpReceiver } from './http-client.ts';

const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;

/** What the watch needs of its upstream. */
export interface WatchHost {
  readonly clock: Clock;
  readonly client: HttpClient;
  readonly path: string;
  readonly maxEventBytes: number;
  /** Null: nothing was heard for a while, any list may have changed. */
  onChanged(kind: ListKind | null): void;
  onServerRequest(bytes: Buffer, message: UpstreamMessage): void;
  onNoise(kind: 'not_json' | 'unmatched'): void;
}

/**
 * Listens on the standing stream of the session that all callers share (2025-11-25, Transports, Listening for Messages from the Server)
 * for changes of lists, where lists are kept. A server that offers none is asked once per session.
 */
export class ListWatch {
  readonly #host: WatchHost;
  readonly #backoff = new Backoff({ firstMs: FIRST_RETRY_MS, maxMs: MAX_RETRY_MS });
  #headers: readonly string[] | null = null;
  #stream: WatchStream | null = null;
  #retry: Timer | null = null;

  constructor(host: WatchHost) {
    this.#host = host;
  }

  /** Listens in this session, and in no other any more. */
  begin(sessionHeaders: readonly string[]): void {
    this.end();
    this.#headers = withoutContentType(sessionHeaders);
    this.#backoff.reset();
    this.#listen(this.#headers);
  }

  /** Idempotent. */
  end(): void {
    this.#headers = null;
    this.#retry?.cancel();
    this.#stream?.leave();
    this.#stream = null;
  }

  #listen(headers: readonly string[]): void {
    const { client, path } = this.#host;
    const stream = new WatchStream(this.#host, (hasStood, isOffered) => this.#onEnd(hasStood, isOffered));
    this.#stream = stream;
    stream.begin(client.send({ method: 'GET', path, headers, body: null }, stream));
  }

  #onEnd(hasStood: boolean, isOffered: boolean): void {
    this.#stream = null;
    const headers = this.#headers;
    if (headers === null || !isOffered) return;
    if (hasStood) {
      this.#backoff.reset();
      this.#host.onChanged(null);
    }
    this.#retry = this.#host.clock.after(this.#backoff.next(), () => this.#listen(headers));
  }
}

/** One standing stream. */
class WatchStream implements HttpReceiver {
  readonly #host: WatchHost;
  readonly #onOver: (hasStood: boolean, isOffered: boolean) => void;
  #control: HttpControl | null = null;
  #decoder: SseDecoder | null = null;
  #isOver = false;

  constructor(host: WatchHost, onOver: (hasStood: boolean, isOffered: boolean) => void) {
    this.#host = host;
    this.#onOver = onOver;
  }

  begin(control: HttpControl): void {
    this.#control = control;
  }

  /** Nothing is told any more. */
  leave(): void {
    this.#isOver = true;
    this.#control?.abort();
  }

  onHead(status: number, headers: IncomingHttpHeaders): void {
    const isStream = status === 200 && String(headers['content-type']).startsWith('text/event-stream');
    if (!isStream) return this.#end(status >= 500);
    this.#decoder = new SseDecoder({ maxEventBytes: this.#host.maxEventBytes, onEvent: ({ data }) => this.#onEvent(data) });
  }

  onData(chunk: Buffer): void {
    if (this.#decoder?.push(chunk) === false) this.#end(true);
  }

  onEnd(): void {
    this.#end(true);
  }

  onError(): void {
    this.#end(true);
  }

  #onEvent(data: Buffer): void {
    if (this.#isOver || data.length === 0) return;
    const message = scanUpstreamMessage(data, { maxDepth: MAX_UPSTREAM_DEPTH });
    if (message === null) return this.#host.onNoise('not_json');
    if (message.kind === 'request') return this.#host.onServerRequest(data, message);
    const changed = changedList(message.method);
    if (changed === null) this.#host.onNoise('unmatched');
    else this.#host.onChanged(changed);
  }

  #end(isOffered: boolean): void {
    if (this.#isOver) return;
    const hasStood = this.#decoder !== null;
    this.leave();
    this.#onOver(hasStood, isOffered);
  }
}

/** The request has no body. */
function withoutContentType(headers: readonly string[]): string[] {
  return headers.flatMap((name, index) => (index % 2 === 0 && name !== 'content-type' ? [name, headers[index + 1] ?? ''] : []));
}
