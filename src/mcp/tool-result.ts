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

/** How the official SDKs say it, in a result instead of an error. */
const UNKNOWN_TOOL = /MCP error -3260[12]|[Uu]nknown tool|Tool .{1,200} (?:not found|disabled)/;

/**
 * Whether the response to a `tools/call` may say that there is no such tool. Looks only at a short one that says `isError`: good for a
 * look at the list, not for a decision.
 */
export function looksLikeUnknownTool(response: Buffer): boolean {
  if (response.length > 4 * LOOKED_AT_BYTES) return false;
  const text = response.toString('latin1');
  return TOOL_ERROR.test(text) && UNKNOWN_TOOL.test(text);
}
