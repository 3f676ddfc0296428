/** How much of either end of a message is looked at: the member stands before or behind the content. */
const LOOKED_AT_BYTES = 256;
const TOOL_ERROR = /"isError"\s*:\s*true/;

/**
 * Whether the response to a `tools/call` says `isError` (2025-11-25, server/tools, Error Handling). Looks only at its two ends: good
 * for statistics, not for a decision.
 */
export function looksLikeToolError(response: Buffer): boolean {
  const end = response.length;
  if (end <= 2 * LOOKED_AT_BYTES) return TOOL_ERROR.test(response.toString('latin1'));
  return (
    TOOL_ERROR.test(response.toString('latin1', 0, LOOKED_AT_BYTES)) || TOOL_ERROR.test(response.toString('latin1', end - LOOKED_AT_BYTES))
  );
}
