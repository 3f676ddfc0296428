import type { IncomingHttpHeaders } from 'node:http';
import type { LookupFunction } from 'node:net';
import { Pool } from 'undici';
import type { Dispatcher } from 'undici';
import type { HttpClient, HttpControl, HttpReceiver, HttpRequest } from './http-client.ts';

const CONNECT_TIMEOUT_MS = 2000;
const MAX_HEAD_BYTES = 16 * 1024;

/** A busy connection would never close by itself, and the upstream's name never be resolved again. */
const MAX_CONNECTION_MS = 60_000;

/** The HTTP client on undici. `lookup` resolves and guards the address of every new connection. */
export class UndiciClient implements HttpClient {
  readonly #pool: Pool;

  /** `maxConnectionMs`: age at which a connection takes no new requests; what it carries then is finished. */
  constructor(origin: string, lookup: LookupFunction, maxConnectionMs: number = MAX_CONNECTION_MS) {
    this.#pool = new Pool(origin, {
      connect: { timeout: CONNECT_TIMEOUT_MS, lookup },
      allowH2: false,
      pipelining: 1,
      maxHeaderSize: MAX_HEAD_BYTES,
      clientTtl: maxConnectionMs,
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  send(request: HttpRequest, receiver: HttpReceiver): HttpControl {
    const transfer = new Transfer(receiver);
    const { method, path, body } = request;
    this.#pool.dispatch({ method, path, headers: [...request.headers], body }, transfer);
    transfer.isDispatched = true;
    return transfer;
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

/** One request and its response. undici reports some errors inside `dispatch`; those are put off to the next microtask. */
class Transfer implements Dispatcher.DispatchHandler, HttpControl {
  isDispatched = false;
  readonly #receiver: HttpReceiver;
  #controller: Dispatcher.DispatchController | null = null;
  #isOver = false;

  constructor(receiver: HttpReceiver) {
    this.#receiver = receiver;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isOver) controller.abort(new Error('given up'));
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (!this.#isOver && status >= 200) this.#receiver.onHead(status, headers);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#isOver) this.#receiver.onData(chunk);
  }

  onResponseEnd(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#receiver.onEnd();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (!this.isDispatched) return queueMicrotask(() => this.#onError(error));
    this.#onError(error);
  }

  pause(): void {
    if (!this.#isOver) this.#controller?.pause();
  }

  resume(): void {
    if (!this.#isOver) this.#controller?.resume();
  }

  abort(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#controller?.abort(new Error('given up'));
  }

  #onError(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#receiver.onError(error, this.#controller !== null);
  }
}
