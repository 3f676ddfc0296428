/** What passes between a worker and the primary about places for requests in progress, and about circuits. */

/** `suspect`: closed, after at least one failure: the next sign of life is worth telling. */
export type CircuitPhase = 'closed' | 'suspect' | 'open' | 'half_open';

/** `ask_state` is answered with the phase; `ask_probe`, once it is half open, with `probe`; `probe_over`: it ended without telling anything. */
export type CircuitReport = 'ask_state' | 'failed' | 'alive' | 'ask_probe' | 'probe_alive' | 'probe_failed' | 'probe_over';

/** Worker → primary. Keys as in `Places`. */
export type PlaceToPrimary =
  /** At most one per key is unanswered. `need` requests wait; `want` ≥ `need` places are wished for. */
  | {
      readonly type: 'ask';
      readonly key: string;
      readonly max: number;
      readonly need: number;
      readonly want: number;
      /** Is not denied: it waits for a place until withdrawn. */
      readonly isPatient: boolean;
    }
  /** Nobody waits any more: the ask is answered as it stands. */
  | { readonly type: 'withdraw'; readonly key: string }
  /** Places given back, ≥ 0; `isRecall`: because they were called back. */
  | { readonly type: 'back'; readonly key: string; readonly places: number; readonly isRecall: boolean }
  /** Places taken without being granted, while the primary did not answer: they count from now on. */
  | { readonly type: 'took'; readonly key: string; readonly max: number; readonly places: number }
  | { readonly type: 'circuit'; readonly server: string; readonly what: CircuitReport };

/** Primary → worker. */
export type PlaceToWorker =
  /** Answers an ask: 0 places = denied for `waitMs`; `isCertain`: every worker that holds some has said that it uses them all. */
  | { readonly type: 'granted'; readonly key: string; readonly places: number; readonly waitMs: number; readonly isCertain: boolean }
  /** Another worker needs places of this key: give back what is free. */
  | { readonly type: 'recall'; readonly key: string }
  /** `waitMs`: until it is half open. */
  | { readonly type: 'circuit'; readonly server: string; readonly phase: CircuitPhase; readonly waitMs: number }
  /** Answers `ask_probe`. */
  | { readonly type: 'probe'; readonly server: string; readonly isGranted: boolean };

const TO_PRIMARY: ReadonlySet<unknown> = new Set(['ask', 'withdraw', 'back', 'took', 'circuit']);
const TO_WORKER: ReadonlySet<unknown> = new Set(['granted', 'recall', 'circuit', 'probe']);

function typeOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? (value as { type?: unknown }).type : undefined;
}

/** Null for anything that is no message of ours; both ends are the same build, so the type tag decides. */
export function asPlaceToPrimary(value: unknown): PlaceToPrimary | null {
  return TO_PRIMARY.has(typeOf(value)) ? (value as PlaceToPrimary) : null;
}

/** Null for anything that is no message of ours. */
export function asPlaceToWorker(value: unknown): PlaceToWorker | null {
  return TO_WORKER.has(typeOf(value)) ? (value as PlaceToWorker) : null;
}
