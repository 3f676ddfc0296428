import type { Envelope } from '../core/envelope.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InFlight, ModernInfo, ReplySink, RequestOptions } from '../core/upstream.ts';

/** The half of a server's connection that speaks revision 2026-07-28. */
export interface ModernSide {
  /** Null unless the server speaks it. */
  readonly info: ModernInfo | null;
  readonly isUp: boolean;
  /** Whether the server speaks it was found out, or could not be. */
  readonly isKnown: boolean;
  /** Why it is not up. */
  readonly detail: string;
  readonly inFlight: number;
  /** Asks the server, now and whenever the answer has grown old. */
  start(): void;
  /** The flight's `detach` cancels. */
  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal;
  notify(message: Envelope, options: RequestOptions): Refusal | null;
  close(): Promise<void>;
}

/** What the modern half tells and asks of the whole. */
export interface ModernSideHost {
  onChange(): void;
  /** The server speaks no older revision: nothing else finds out whether it is there. */
  isAlone(): boolean;
}
