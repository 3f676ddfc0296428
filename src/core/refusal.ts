/**
 * A reason to end a request, decided before or instead of forwarding it. Refusals are frozen constants of the
 * catalogue (`errors.ts`): stages return them, `pipeline/reply.ts` is the only place that writes them.
 */
export interface Refusal {
  /** Stable name, never reused: `AUTH_MISSING`. It stands in logs, audit and `docs/errors.md`, not in the answer. */
  readonly code: string;
  /** HTTP status. */
  readonly status: number;
  /** JSON-RPC code: one that JSON-RPC or MCP defines, else −(31000 + status). */
  readonly rpcCode: number;
  /** Low-cardinality reason, snake_case: the metric label and the audit `reason`. */
  readonly reason: string;
  /** What the client is told: the class of failure, no detail. */
  readonly message: string;
}

/** Tells a refusal from whatever else a stage returns. */
export function isRefusal(value: object): value is Refusal {
  return (value as Partial<Refusal>).rpcCode !== undefined;
}
