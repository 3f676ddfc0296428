import type { IncomingHttpHeaders } from 'node:http';
import { SseDecoder, type SseEvent } from '../mcp/sse.ts';
import { reasonOf } from './wire-text.ts';
import type { HttpReceiver } from './http-client.ts';

export interface SseStreamListener {
  onEvent(event: SseEvent): void;
  onOversize(): void;
  onGone(reason: string): void;
}

/** The answer to a GET that has to be an event stream. */
export class SseStream implements HttpReceiver {
  readonly #decoder: SseDecoder;
  readonly #listener: SseStreamListener;

  constructor(maxEventBytes: number, listener: SseStreamListener) {
    this.#listener = listener;
    this.#decoder = new SseDecoder({ maxEventBytes, onEvent: (event) => listener.onEvent(event) });
  }

  onHead(status: number, headers: IncomingHttpHeaders): void {
    const type = String(headers['content-type'] ?? '').split(';')[0] ?? '';
    const coding = headers['content-encoding'] ?? 'identity';
    if (status >= 300 && status < 400) return this.#listener.onGone(`answered with a redirect (HTTP ${status}), which is not followed`);
    if (status !== 200) return this.#listener.onGone(`answered HTTP ${status} instead of an event stream`);
    if (type.trim().toLowerCase() !== 'text/event-stream' || coding !== 'identity')
      this.#listener.onGone('answered with something else than a plain event stream');
  }

  onData(chunk: Buffer): void {
    if (!this.#decoder.push(chunk)) this.#listener.onOversize();
  }

  onEnd(): void {
    this.#listener.onGone('ended its event stream');
  }

  onError(error: Error, wasSent: boolean): void {
    const code = (error as NodeJS.ErrnoException).code ?? error.name;
    this.#listener.onGone(wasSent ? `broke the connection: ${code}` : `cannot be reached: ${reasonOf(error, code)}`);
  }
}
