import type { Refusal } from '../core/refusal.ts';
import type { ReplySink } from '../core/upstream.ts';

/** What came of a request of the gateway itself. */
export type OwnOutcome =
  | { readonly bytes: Buffer; readonly refusal: null }
  | { readonly bytes: null; readonly refusal: Refusal; readonly detail: string };

/** The sink of the gateway's own requests: `initialize` and `ping`. */
export class OwnCall implements ReplySink {
  readonly #onOutcome: (outcome: OwnOutcome) => void;

  constructor(onOutcome: (outcome: OwnOutcome) => void) {
    this.#onOutcome = onOutcome;
  }

  onStream(): void {}

  onMessage(): boolean {
    return true;
  }

  onReply(bytes: Buffer): void {
    this.#onOutcome({ bytes, refusal: null });
  }

  onFail(refusal: Refusal, detail: string): void {
    this.#onOutcome({ bytes: null, refusal, detail });
  }

  /** Clients cannot name a request of the gateway. */
  onCancelled(): void {}
}
