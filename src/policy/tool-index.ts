import { compileToolPattern } from './tool-pattern.ts';

/** Names worth remembering, and how many of them per server. */
const MAX_CACHED_LENGTH = 128;
const MAX_CACHED_TOOLS = 512;

/** Which of the patterns comes first that matches a server's tool; −1 for none. Never throws. */
export type ToolIndex = (server: string, tool: string) => number;

/** Compiles an ordered list of tool patterns; throws PatternError. Servers are configured names; tools come from clients. */
export function compileToolIndex(patterns: readonly string[]): ToolIndex {
  const compiled = patterns.map(compileToolPattern);
  if (compiled.length === 0) return () => -1;
  const find = (server: string, tool: string): number =>
    compiled.findIndex((pattern) => pattern.matchesServer(server) && pattern.matchesTool(tool));
  const found = new Map<string, Map<string, number>>();
  return (server, tool) => {
    if (tool.length > MAX_CACHED_LENGTH) return find(server, tool);
    let known = found.get(server);
    if (known === undefined) found.set(server, (known = new Map()));
    let index = known.get(tool);
    if (index !== undefined) return index;
    index = find(server, tool);
    if (known.size >= MAX_CACHED_TOOLS) known.clear();
    known.set(tool, index);
    return index;
  };
}
