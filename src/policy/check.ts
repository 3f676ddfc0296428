import type { ConfigProblem, ConfigSnapshot } from '../core/config.ts';
import { methodLabel } from '../mcp/methods.ts';
import { PatternError } from './glob.ts';
import { compilePattern } from './pattern.ts';
import { compileToolPattern } from './tool-pattern.ts';

/**
 * Every pattern of the configuration that cannot be used, with its path, and every server pattern that no configured
 * server matches: an error in a deny list, where it would silently deny nothing, else a warning.
 */
export function checkPatterns(snapshot: ConfigSnapshot): ConfigProblem[] {
  const servers = snapshot.upstreams.map((upstream) => upstream.name);
  const { allow, deny } = snapshot.policy.tools;
  const problems = [
    ...checkTools(allow ?? [], 'policy.tools.allow', servers, 'warning'),
    ...checkTools(deny, 'policy.tools.deny', servers, 'error'),
  ];
  snapshot.auth.apiKeys.forEach(({ grants }, index) => {
    const path = `auth.api_keys[${index}]`;
    problems.push(
      ...checkTools(grants.allowedTools ?? [], `${path}.allowed_tools`, servers, 'warning'),
      ...checkTools(grants.deniedTools, `${path}.denied_tools`, servers, 'error'),
      ...checkServers(grants.servers ?? [], `${path}.servers`, servers),
    );
  });
  return [
    ...problems,
    ...checkToolLimits(snapshot, servers),
    ...checkToolTimeouts(snapshot),
    ...checkSelections(snapshot),
    ...checkMethodLimits(snapshot),
  ];
}

/** A limit that holds for no server would limit nothing. */
function checkToolLimits({ rateLimit }: ConfigSnapshot, servers: readonly string[]): ConfigProblem[] {
  return rateLimit.tools.flatMap(({ pattern }, index) => {
    const path = `rate_limit.tool_limits[${index}].tool_pattern`;
    return checkTools([pattern], path, servers, 'error').map((problem) => ({ ...problem, path }));
  });
}

/** They stand at a server: a pattern for another one would never match. */
function checkToolTimeouts({ upstreams, isSingleUpstream }: ConfigSnapshot): ConfigProblem[] {
  return upstreams.flatMap(({ name, toolTimeouts }, index) => {
    const server = isSingleUpstream ? 'upstream' : `upstream.servers[${index}]`;
    return toolTimeouts.flatMap(({ pattern }, place) => {
      const path = `${server}.tool_timeouts[${place}].tool_pattern`;
      return checkTools([pattern], path, [name], 'error').map((problem) => ({ ...problem, path }));
    });
  });
}

/** What virtual servers choose of their members; `upstream.aggregate` chooses nothing. */
function checkSelections({ virtuals }: ConfigSnapshot): ConfigProblem[] {
  const chosen = virtuals.filter(({ isAggregate }) => !isAggregate);
  return chosen.flatMap(({ servers, tools, prompts, resources }, index) => {
    const path = `upstream.virtual[${index}]`;
    return [
      ...checkTools(tools ?? [], `${path}.tools`, servers, 'warning'),
      ...checkTools(prompts ?? [], `${path}.prompts`, servers, 'warning'),
      ...(resources ?? []).flatMap((text, place) =>
        checkPattern(text, `${path}.resources[${place}]`, () => {
          compilePattern(text, 'uri');
          return null;
        }),
      ),
    ];
  });
}

function checkMethodLimits({ rateLimit }: ConfigSnapshot): ConfigProblem[] {
  return rateLimit.methods.flatMap(({ method }, index) => {
    if (methodLabel(method) === method) return [];
    const message = `is no method that MCP knows, so the limit may never apply: ${JSON.stringify(method)}`;
    return [{ path: `rate_limit.method_limits[${index}].method`, message, severity: 'warning' as const }];
  });
}

type Severity = ConfigProblem['severity'];

function checkTools(patterns: readonly string[], path: string, servers: readonly string[], unmatched: Severity): ConfigProblem[] {
  return patterns.flatMap((text, index) =>
    checkPattern(text, `${path}[${index}]`, () => {
      const { serverText, matchesServer } = compileToolPattern(text);
      if (serverText === null || servers.some(matchesServer)) return null;
      const message = `no configured server matches ${JSON.stringify(serverText)} in pattern ${JSON.stringify(text)} (write \\: for a colon in a tool name)`;
      return { path: `${path}[${index}]`, message, severity: unmatched };
    }),
  );
}

function checkServers(patterns: readonly string[], path: string, servers: readonly string[]): ConfigProblem[] {
  return patterns.flatMap((text, index) =>
    checkPattern(text, `${path}[${index}]`, () => {
      if (servers.some(compilePattern(text, 'name'))) return null;
      return { path: `${path}[${index}]`, message: `no configured server matches ${JSON.stringify(text)}`, severity: 'warning' };
    }),
  );
}

/** Runs a check whose compilation may throw PatternError. */
function checkPattern(text: string, path: string, check: () => ConfigProblem | null): ConfigProblem[] {
  try {
    const problem = check();
    return problem === null ? [] : [problem];
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    return [{ path, message: `bad pattern ${JSON.stringify(text)}: ${error.message}`, severity: 'error' }];
  }
}
