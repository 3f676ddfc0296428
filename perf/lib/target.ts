import type { Program } from './process.ts';

/** Something that answers MCP requests over HTTP. */
export interface Target {
  /** Names its figures in the report and in budgets. */
  readonly name: string;
  readonly url: string;
  /** Header lines of each caller; requests take the callers in turn. */
  readonly callers: readonly (readonly string[])[];
  /** What stands between client and upstream, or the upstream itself when nothing does. */
  readonly program: Program;
  /** Somebody else's program: its wrong answers are counted, where ours end the run. */
  readonly isForeign: boolean;
}

/** The same program under another path. */
export function at(target: Target, path: string): Target {
  return { ...target, url: new URL(path, target.url).href };
}
