/** Raw tool and server grants of an identity, as configured. */
export interface Grants {
  /** Patterns of allowed tools; null = not stated, then `auth.default_tools` decides. */
  readonly allowedTools: readonly string[] | null;
  readonly deniedTools: readonly string[];
  /** Server names (globs) that may be reached; null = all. */
  readonly servers: readonly string[] | null;
}

/** What a tool decision rests on: shown by `check`, the audit and the log, never to the client. */
export interface ToolDecision {
  readonly isAllowed: boolean;
  /** The rule in words: `denied_tools "delete_*"`, `no allowed_tools pattern matches`. Stable per rule, bounded set. */
  readonly rule: string;
  /** A rule of `policy.tools`, which holds for everybody: the refusal is no matter of this caller's grants. */
  readonly isGeneral?: boolean;
}

/** Compiled grants of one principal, together with the policy that holds for all. Pure and synchronous; never throws. */
export interface Access {
  mayReach(server: string): boolean;
  /** Deny beats allow; a hidden tool is uncallable (the list filter asks here too). */
  tool(server: string, tool: string): ToolDecision;
  /** True when every tool of the server is allowed, so that lists need no filtering. */
  allowsAllTools(server: string): boolean;
}
