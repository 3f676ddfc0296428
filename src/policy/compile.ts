import type { Access, Grants, ToolDecision } from '../core/access.ts';
import type { PolicySettings } from '../core/config.ts';
import { compilePattern, type Matcher } from './pattern.ts';
import { ToolList } from './tool-list.ts';

/** Longer tool names are refused unseen: MCP asks for 128 characters at most, and matching takes time per character. */
const MAX_TOOL_LENGTH = 1024;
/** Names worth remembering, and how many of them per server. */
const MAX_CACHED_LENGTH = 128;
const MAX_CACHED_TOOLS = 512;

const DEFAULT_ALL: ToolDecision = Object.freeze({ isAllowed: true, rule: 'auth.default_tools "all"' });
const DEFAULT_NONE: ToolDecision = Object.freeze({ isAllowed: false, rule: 'auth.default_tools "none"' });
const NOT_GRANTED: ToolDecision = Object.freeze({ isAllowed: false, rule: 'no allowed_tools pattern matches' });
const NOT_IN_POLICY: ToolDecision = Object.freeze({ isAllowed: false, rule: 'no policy.tools.allow pattern matches', isGeneral: true });
const SERVER_NOT_GRANTED: ToolDecision = Object.freeze({ isAllowed: false, rule: 'no servers pattern matches' });
const BAD_NAME: ToolDecision = Object.freeze({ isAllowed: false, rule: 'tool name is empty or too long' });
const HIDDEN_NAME: ToolDecision = Object.freeze({ isAllowed: false, rule: 'tool name holds control characters' });

/** No tool has them in its name; a server that stops at a NUL would read another name than the one decided on. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\x00-\x1f\x7f]/;

/**
 * Compiles what an identity may do, together with the policy that holds for everybody. A tool is allowed when the
 * server is granted, neither list of denials matches it, and both lists of permissions do: `policy.tools.allow` (not
 * stated = all) and `allowed_tools` (not stated = `defaultTools`). Throws PatternError; `checkPatterns` reports the same
 * patterns with their places.
 */
export function compileAccess(grants: Grants, policy: PolicySettings, defaultTools: 'all' | 'none'): Access {
  return new CompiledAccess(grants, policy, defaultTools === 'all' ? DEFAULT_ALL : DEFAULT_NONE);
}

/** As `compileAccess`, for many identities: those with the same grants share what is compiled and remembered. */
export function accessCompiler(policy: PolicySettings, defaultTools: 'all' | 'none'): (grants: Grants) => Access {
  const compiled = new Map<string, Access>();
  return (grants) => {
    const name = JSON.stringify([grants.allowedTools, grants.deniedTools, grants.servers]);
    let access = compiled.get(name);
    if (access === undefined) {
      access = compileAccess(grants, policy, defaultTools);
      compiled.set(name, access);
    }
    return access;
  };
}

/** What holds for everybody, compiled once per configuration and shared by all its identities. */
interface GeneralLists {
  readonly deny: ToolList;
  readonly allow: ToolList | null;
}

const generalLists = new WeakMap<PolicySettings, GeneralLists>();
const NO_DENIALS = new ToolList([], 'denied_tools', false);

function generalListsOf(policy: PolicySettings): GeneralLists {
  const known = generalLists.get(policy);
  if (known !== undefined) return known;
  const { allow, deny } = policy.tools;
  const lists = {
    deny: new ToolList(deny, 'policy.tools.deny', false, true),
    allow: allow === null ? null : new ToolList(allow, 'policy.tools.allow', true, true),
  };
  generalLists.set(policy, lists);
  return lists;
}

class CompiledAccess implements Access {
  private readonly servers: readonly Matcher[] | null;
  private readonly denials: readonly ToolList[];
  private readonly policyAllow: ToolList | null;
  private readonly granted: ToolList | null;
  private readonly byDefault: ToolDecision;
  /** Decisions by server and tool. Servers are configured names; tools come from clients and are bounded. */
  private readonly decided = new Map<string, Map<string, ToolDecision>>();

  constructor(grants: Grants, policy: PolicySettings, byDefault: ToolDecision) {
    const general = generalListsOf(policy);
    this.servers = grants.servers?.map((server) => compilePattern(server, 'name')) ?? null;
    const denied = grants.deniedTools.length === 0 ? NO_DENIALS : new ToolList(grants.deniedTools, 'denied_tools', false);
    this.denials = [general.deny, denied];
    this.policyAllow = general.allow;
    this.granted = grants.allowedTools === null ? null : new ToolList(grants.allowedTools, 'allowed_tools', true);
    this.byDefault = byDefault;
  }

  mayReach(server: string): boolean {
    return this.servers === null || this.servers.some((matches) => matches(server));
  }

  tool(server: string, tool: string): ToolDecision {
    if (tool.length > MAX_CACHED_LENGTH) return this.decide(server, tool);
    const decided = this.decidedFor(server);
    const known = decided.get(tool);
    if (known !== undefined) return known;
    const decision = this.decide(server, tool);
    if (decided.size >= MAX_CACHED_TOOLS) decided.clear();
    decided.set(tool, decision);
    return decision;
  }

  allowsAllTools(server: string): boolean {
    if (!this.mayReach(server) || this.denials.some((list) => list.touchesServer(server))) return false;
    const isPolicyOpen = this.policyAllow === null || this.policyAllow.coversServer(server);
    const isGrantOpen = this.granted === null ? this.byDefault.isAllowed : this.granted.coversServer(server);
    return isPolicyOpen && isGrantOpen;
  }

  private decidedFor(server: string): Map<string, ToolDecision> {
    let decided = this.decided.get(server);
    if (decided === undefined) {
      decided = new Map();
      this.decided.set(server, decided);
    }
    return decided;
  }

  private decide(server: string, tool: string): ToolDecision {
    if (tool === '' || tool.length > MAX_TOOL_LENGTH) return BAD_NAME;
    if (CONTROL.test(tool)) return HIDDEN_NAME;
    if (!this.mayReach(server)) return SERVER_NOT_GRANTED;
    for (const list of this.denials) {
      const denied = list.find(server, tool);
      if (denied !== null) return denied;
    }
    if (this.policyAllow !== null && this.policyAllow.find(server, tool) === null) return NOT_IN_POLICY;
    if (this.granted === null) return this.byDefault;
    return this.granted.find(server, tool) ?? NOT_GRANTED;
  }
}
