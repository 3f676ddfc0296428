import type { Envelope } from '../core/envelope.ts';
import type { EraVerdict } from '../core/mesh.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InFlight, ModernInfo, ReplySink, RequestOptions } from '../core/upstream.ts';

export type { EraVerdict } from '../core/mesh.ts';

/** The half of a server's connection that speaks revision 2026-07-28. */
export interface ModernSide {
  readonly verdict: EraVerdict;
  /** Null unless the verdict is `modern`; kept while it is down. */
  readonly info: ModernInfo | null;
  readonly isUp: boolean;
  /** It speaks the revision and will be there again in a moment. */
  readonly isReturning: boolean;
  /** Nothing takes a connection where it should be, so nobody knows what it speaks. */
  readonly isUnreachable: boolean;
  /** Each of its processes is one caller's own, and so is the successor of that. */
  readonly isOwn: boolean;
  /** Why it is not up. */
  readonly detail: string;
  readonly inFlight: number;
  /** Of the child that it has of its own; null without one. */
  readonly pid: number | null;
  /** Whether the process or connection with this life (`ModernInfo`) is here, and takes requests. */
  has(life: string): boolean;
  /** Asks the server, unless it was asked and the answer is not old yet. */
  start(): void;
  /** The flight's `detach` cancels. */
  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal;
  notify(message: Envelope, options: RequestOptions): Refusal | null;
  close(): Promise<void>;
}

/** What the modern half tells and asks of the whole. */
export interface ModernSideHost {
  onChange(): void;
  /** The server speaks no older revision, as far as is known: nothing else finds out whether it is there. */
  isAlone(): boolean;
}
