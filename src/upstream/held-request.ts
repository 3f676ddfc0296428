import type { Envelope } from '../core/envelope.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { InFlight, ReplySink, RequestOptions } from '../core/upstream.ts';

/** A request that waits until it is known how to send it. */
export class HeldRequest implements InFlight {
  readonly #message: Envelope;
  readonly #options: RequestOptions;
  #sink: ReplySink | null;
  #flight: InFlight | null = null;

  constructor(message: Envelope, options: RequestOptions, sink: ReplySink) {
    this.#message = message;
    this.#options = options;
    this.#sink = sink;
  }

  /** Its client is gone: it need not be sent. */
  get isOver(): boolean {
    return this.#sink === null;
  }

  /** Sends it by `send`; what that refuses, the client is told. */
  release(send: (message: Envelope, options: RequestOptions, sink: ReplySink) => InFlight | Refusal, detail: string): void {
    const sink = this.#sink;
    if (sink === null) return;
    const flight = send(this.#message, this.#options, sink);
    if (isRefusal(flight)) this.fail(flight, detail);
    else this.#flight = flight;
  }

  fail(refusal: Refusal, detail: string): void {
    const sink = this.#sink;
    this.#sink = null;
    sink?.onFail(refusal, detail);
  }

  detach(whenOver: () => void): void {
    if (this.#flight !== null) return this.#flight.detach(whenOver);
    this.#sink = null;
    whenOver();
  }

  resume(): void {
    this.#flight?.resume();
  }
}
