import type { Envelope } from '../core/envelope.ts';
import { SESSION_UNKNOWN } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { Health, InFlight, ReplySink, RequestOptions } from '../core/upstream.ts';
import type { UpstreamSession } from '../core/upstream-session.ts';
import { PassingSink } from './passing-sink.ts';

/** What is done where the one that a request is for is gone. Nothing was sent then. */
export type Otherwise = (sink: ReplySink) => InFlight | Refusal;

/** A request for one process of a server, wherever that is. That it is gone may turn out only when its worker, or its host, is asked. */
export class PinnedCall extends PassingSink implements InFlight {
  readonly #otherwise: Otherwise;
  #flight: InFlight | null = null;
  #isDetached = false;

  private constructor(sink: ReplySink, otherwise: Otherwise) {
    super(sink);
    this.#otherwise = otherwise;
  }

  /** `target`: null when it is known to be gone. */
  static begin(
    target: UpstreamSession | null,
    message: Envelope,
    options: RequestOptions,
    sink: ReplySink,
    otherwise: Otherwise,
  ): InFlight | Refusal {
    if (target === null) return otherwise(sink);
    const call = new PinnedCall(sink, otherwise);
    const flight = target.request(message, options, call);
    if (flight === SESSION_UNKNOWN) return otherwise(sink);
    if (isRefusal(flight)) return flight;
    call.#flight = flight;
    return call;
  }

  detach(whenOver: () => void): void {
    this.#isDetached = true;
    this.#flight?.detach(() => undefined);
    whenOver();
  }

  resume(): void {
    this.#flight?.resume();
  }

  override onFail(refusal: Refusal, detail: string, health?: Health): void {
    if (refusal !== SESSION_UNKNOWN) return super.onFail(refusal, detail, health);
    if (this.#isDetached) return;
    const flight = this.#otherwise(this.sink);
    if (isRefusal(flight)) super.onFail(flight, detail);
    else this.#flight = flight;
  }
}
