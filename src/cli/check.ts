import type { Grants } from '../core/access.ts';
import type { ApiKeySettings, ConfigSnapshot } from '../core/config.ts';
import type { LimitSpec } from '../core/principal.ts';
import { compileAccess } from '../policy/compile.ts';
import { compileToolIndex } from '../policy/tool-index.ts';
import { CliError, EXIT_DENIED, EXIT_OK, plain, printLine, type CliIo } from './io.ts';
import { loadSnapshot } from './load.ts';

export interface CheckOptions {
  readonly policy: string;
  readonly tool?: string;
  readonly identity?: string;
  readonly server?: string;
  readonly prompt?: string;
  readonly resource?: string;
}

/** Grants that say nothing: then the policy for everybody and `auth.default_tools` decide. */
const NO_GRANTS: Grants = { allowedTools: null, deniedTools: [], servers: null };

function serverOf({ upstreams }: ConfigSnapshot, asked: string | undefined): string {
  const names = upstreams.map((upstream) => upstream.name);
  if (asked === undefined && names.length === 1) return names[0] as string;
  if (asked === undefined) throw new CliError(`several servers are configured: name one with --server (${names.join(', ')})`);
  if (!names.includes(asked)) throw new CliError(`no server is named "${asked}"; there is ${names.join(', ')}`);
  return asked;
}

/** Why this identity cannot call at all, or null. */
function refusalOf(identity: string | undefined, key: ApiKeySettings | undefined, nowMs: number): string | null {
  if (identity === undefined) return null;
  if (key === undefined) return `no API key has the id "${identity}"`;
  return key.expiresAtMs !== null && key.expiresAtMs <= nowMs ? `the key of "${identity}" has expired` : null;
}

/** What is left of the caller's full bucket after this call. */
function remainingOf({ rateLimit }: ConfigSnapshot, own: LimitSpec | null | undefined, server: string, tool: string): string {
  if (!rateLimit.isEnabled) return 'unlimited';
  const index = compileToolIndex(rateLimit.tools.map(({ pattern }) => pattern))(server, tool);
  return String(Math.max(0, (own ?? rateLimit.default).burst - (rateLimit.tools[index]?.cost ?? 1)));
}

/** `check`: the decision that a running gateway would take, with its rule. Nothing is sent. */
export async function check(io: CliIo, options: CheckOptions): Promise<number> {
  if (options.prompt !== undefined || options.resource !== undefined)
    throw new CliError('--prompt and --resource are not available yet: only tools can be checked');
  if (options.tool === undefined) throw new CliError('nothing to check: name a tool with --tool');
  const { snapshot } = loadSnapshot(io, options.policy);
  const server = serverOf(snapshot, options.server);
  const key = snapshot.auth.apiKeys.find(({ id }) => id === options.identity);
  const refusal = refusalOf(options.identity, key, io.clock.wallMs());
  const access = compileAccess(key?.grants ?? NO_GRANTS, snapshot.policy, snapshot.auth.defaultTools);
  const { isAllowed, rule } = access.tool(server, options.tool);
  if (refusal === null && isAllowed) {
    printLine(io, `ALLOW ${remainingOf(snapshot, key?.limit, server, options.tool)}`);
    return EXIT_OK;
  }
  printLine(io, `DENY: ${plain(refusal ?? rule)}`);
  return EXIT_DENIED;
}
