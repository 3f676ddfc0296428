import type { Exchange } from './exchange.ts';
import type { FieldText } from './field-text.ts';
import type { LimitName, PlaceNote } from './limit.ts';
import type { Principal } from './principal.ts';
import type { Refusal } from './refusal.ts';
import type { TransportName } from './upstream.ts';

/**
 * All that is known of one request, filled from top to bottom as it walks the pipeline; `settle` turns it into the
 * metric, the audit record and the log line. Contexts are not shared and not reused while anything refers to them.
 */
export interface RequestContext {
  readonly exchange: Exchange;
  /** Echoed as `X-Request-ID`. */
  readonly requestId: string;
  /** Monotonic. */
  readonly startMs: number;
  /** Null until authenticated. */
  principal: Principal | null;
  /** Configured name of the upstream; empty until routed. */
  server: string;
  transport: TransportName | '';
  /** Public name of the session it belongs to; empty without one. */
  session: string;
  /** JSON-RPC method as sent, empty before the body was read or for other endpoints. */
  method: string;
  /** Bounded metric label: a known method, an endpoint (`health`, `metrics` …) or `other`. */
  methodLabel: string;
  /** Tool name of a `tools/call`, as sent. */
  tool: string;
  /** URI of a `resources/read`, as sent. */
  resource: string;
  /** Raw JSON token of the request's id; `null` for none or not yet known. */
  idToken: string;
  isNotification: boolean;
  /** The limit that refused, else the one whose figures the answer shows; empty when none was consulted. */
  limitedBy: LimitName | '';
  /** What of its headers never changes (`limit-fields.ts`). */
  limitPolicy: FieldText;
  /** Limit headers: its values; −1 = none to be shown. */
  limit: number;
  limitRemaining: number;
  limitResetSecs: number;
  /** When a limit last let it pass or refused it, monotonic; 0 = none was asked. */
  decidedMs: number;
  /** When the caller's own token was taken, monotonic; 0 = not yet. */
  tokenTakenMs: number;
  /** Seconds for `Retry-After`; 0 = none. */
  retryAfterSecs: number;
  /** HTTP status sent; 0 while undecided, 499 when the client left first. */
  status: number;
  /** Why it was refused, null when it was served. */
  refusal: Refusal | null;
  /** Further members of the error's `data`, as JSON that begins with a comma; empty for none. */
  errorData: string;
  /** UUID that stands in the answer, the log and the audit; empty when nothing failed. */
  errorId: string;
  /** For log and audit only: the rule that decided, what the upstream did. */
  detail: string;
  /** JSON-RPC error code the upstream answered with, 0 for none. */
  upstreamErrorCode: number;
  /** The tool answered that it failed. For statistics only. */
  isToolError: boolean;
  /** When it was sent upstream (monotonic); 0 = it was not. */
  sentMs: number;
  /** Key of the principal's budgets; empty until authenticated. */
  budgetKey: string;
  /** What is kept with that key; null until authenticated. */
  placeNote: PlaceNote | null;
  /** A message of revision 2026-07-28, which stands for itself. */
  isModern: boolean;
  /** Its answer is an event stream that has begun. */
  isStreaming: boolean;
  /** It holds one of its principal's in-flight places, which `settle` gives back, unless `passPlace` took it over. */
  isInFlight: boolean;
  isSettled: boolean;
}
