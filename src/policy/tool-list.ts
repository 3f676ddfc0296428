import type { ToolDecision } from '../core/access.ts';
import { compileToolPattern, type ToolPattern } from './tool-pattern.ts';

interface Entry {
  readonly pattern: ToolPattern;
  readonly decision: ToolDecision;
}

/** A compiled list of tool patterns that all mean the same decision. Finding the first that matches names the rule. */
export class ToolList {
  /** Unscoped exact names, looked up instead of tried. */
  private readonly exact = new Map<string, ToolDecision>();
  private readonly others: Entry[] = [];

  /** Throws PatternError. `listName` stands in the rule: `denied_tools "delete_*"`. */
  constructor(patterns: readonly string[], listName: string, isAllowed: boolean, isGeneral = false) {
    for (const text of patterns) {
      const pattern = compileToolPattern(text);
      const rule = `${listName} ${JSON.stringify(text)}`;
      const decision: ToolDecision = Object.freeze(isGeneral ? { isAllowed, rule, isGeneral } : { isAllowed, rule });
      if (pattern.serverText === null && pattern.exactTool !== null) this.exact.set(pattern.exactTool, decision);
      else this.others.push({ pattern, decision });
    }
  }

  /** The decision of a pattern that matches, null when none does. */
  find(server: string, tool: string): ToolDecision | null {
    const exact = this.exact.get(tool);
    if (exact !== undefined) return exact;
    for (const { pattern, decision } of this.others) {
      if (pattern.matchesServer(server) && pattern.matchesTool(tool)) return decision;
    }
    return null;
  }

  /** Whether some pattern plainly matches every tool of the server. */
  coversServer(server: string): boolean {
    return this.others.some(({ pattern }) => pattern.isEveryTool && pattern.matchesServer(server));
  }

  /** Whether any pattern could match a tool of the server. */
  touchesServer(server: string): boolean {
    return this.exact.size > 0 || this.others.some(({ pattern }) => pattern.matchesServer(server));
  }
}
