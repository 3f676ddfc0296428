import { filterTools } from './lists.ts';
import { paramHeadersOf } from './param-headers.ts';

/** A list of tools without those that must not be used over HTTP, and how many those are (2026-07-28, Transports, `x-mcp-header`). */
export interface UsableTools {
  readonly reply: Buffer;
  readonly dropped: number;
}

/** Looks only where an annotation is. The reply has been scanned; one that is no well-formed list is returned as it is. */
export function usableTools(reply: Buffer): UsableTools {
  if (!reply.includes('x-mcp-header')) return { reply, dropped: 0 };
  const bad = new Set(unusable(JSON.parse(reply.toString('utf8'))));
  if (bad.size === 0) return { reply, dropped: 0 };
  return { reply: filterTools(reply, (tool) => !bad.has(tool)) ?? reply, dropped: bad.size };
}

function unusable(message: unknown): string[] {
  const { result } = message as { readonly result?: { readonly tools?: unknown } | null };
  const tools = Array.isArray(result?.tools) ? (result.tools as unknown[]) : [];
  return tools.flatMap((tool) => {
    const { name, inputSchema } = (tool ?? {}) as { readonly name?: unknown; readonly inputSchema?: unknown };
    return typeof name === 'string' && paramHeadersOf(inputSchema) === null ? [name] : [];
  });
}
