import { describe, expect, it } from 'vitest';
import type { Grants } from '../../src/core/access.ts';
import type { ConfigSnapshot, VirtualSettings } from '../../src/core/config.ts';
import { checkPatterns } from '../../src/policy/check.ts';

/** The parts of a configuration that hold patterns. */
function problems(
  grants: Partial<Grants>,
  tools: Partial<ConfigSnapshot['policy']['tools']> = {},
  limits: { readonly tools?: readonly string[]; readonly methods?: readonly string[] } = {},
  timeouts: readonly string[] = [],
  virtual: Partial<VirtualSettings> = {},
): string[] {
  const keys = [{}, grants].map((own) => ({ grants: { allowedTools: null, deniedTools: [], servers: null, ...own } }));
  const snapshot = {
    auth: { apiKeys: keys },
    policy: { tools: { allow: null, deny: [], ...tools } },
    rateLimit: {
      tools: (limits.tools ?? []).map((pattern) => ({ pattern })),
      methods: (limits.methods ?? []).map((method) => ({ method })),
    },
    upstreams: [
      { name: 'fs', toolTimeouts: [] },
      { name: 'db', toolTimeouts: timeouts.map((pattern) => ({ pattern })) },
    ],
    virtuals: [{ isAggregate: true }, { isAggregate: false, servers: ['fs'], tools: null, prompts: null, resources: null, ...virtual }],
  };
  return checkPatterns(snapshot as unknown as ConfigSnapshot).map(({ path, severity, message }) => `${severity} ${path}: ${message}`);
}

describe('checkPatterns', () => {
  it('finds nothing in sound patterns', () => {
    expect(
      problems(
        { allowedTools: ['*', 'fs:read_*', 're:a.*', '[ab]?'], deniedTools: ['db:x', '*:y'], servers: ['f*'] },
        { allow: ['a'], deny: ['b'] },
      ),
    ).toEqual([]);
  });

  it('reports every bad pattern with its path, all at once', () => {
    const found = problems(
      { allowedTools: ['ok', '[a'], deniedTools: ['re:('], servers: ['fs', ''] },
      { allow: ['a}'], deny: ['x', '', ':t'] },
    );
    expect(found).toEqual([
      expect.stringMatching(/^error policy\.tools\.allow\[0\]: bad pattern "a}": /),
      expect.stringMatching(/^error policy\.tools\.deny\[1\]: bad pattern "": empty pattern$/),
      expect.stringMatching(/^error policy\.tools\.deny\[2\]: bad pattern ":t": no server before ":"$/),
      expect.stringMatching(/^error auth\.api_keys\[1\]\.allowed_tools\[1\]: bad pattern "\[a": "\[" is not closed$/),
      expect.stringMatching(/^error auth\.api_keys\[1\]\.denied_tools\[0\]: bad pattern "re:\(": .*missing closing \)/),
      expect.stringMatching(/^error auth\.api_keys\[1\]\.servers\[1\]: bad pattern "": empty pattern$/),
    ]);
  });

  it('refuses a denial for a server that does not exist, and warns of a permission for one', () => {
    const found = problems({ allowedTools: ['web:read'], deniedTools: ['ns:delete', 'd*:delete'], servers: ['web'] });
    expect(found).toEqual([
      expect.stringMatching(/^warning auth\.api_keys\[1\]\.allowed_tools\[0\]: no configured server matches "web"/),
      expect.stringMatching(/^error auth\.api_keys\[1\]\.denied_tools\[0\]: no configured server matches "ns" .*write \\: for a colon/),
      expect.stringMatching(/^warning auth\.api_keys\[1\]\.servers\[0\]: no configured server matches "web"$/),
    ]);
  });

  it('refuses tool limits that no tool could meet, and warns of methods that MCP does not know', () => {
    expect(problems({}, {}, { tools: ['write_*', 'fs:*', 're:a+'], methods: ['tools/list', 'notifications/cancelled'] })).toEqual([]);
    expect(problems({}, {}, { tools: ['*', '[a', 'web:read'], methods: ['tools/cal'] })).toEqual([
      expect.stringMatching(/^error rate_limit\.tool_limits\[1\]\.tool_pattern: bad pattern "\[a": "\[" is not closed$/),
      expect.stringMatching(/^error rate_limit\.tool_limits\[2\]\.tool_pattern: no configured server matches "web"/),
      expect.stringMatching(/^warning rate_limit\.method_limits\[0\]\.method: is no method that MCP knows.*"tools\/cal"$/),
    ]);
  });

  it('refuses deadlines of tools that the server of theirs could not have', () => {
    expect(problems({}, {}, {}, ['slow_*', 'db:query', '*:re:x+'])).toEqual([]);
    expect(problems({}, {}, {}, ['fs:read', '{a}'])).toEqual([
      expect.stringMatching(/^error upstream\.servers\[1\]\.tool_timeouts\[0\]\.tool_pattern: no configured server matches "fs"/),
      expect.stringMatching(/^error upstream\.servers\[1\]\.tool_timeouts\[1\]\.tool_pattern: bad pattern "\{a\}"/),
    ]);
  });

  it('refuses what a virtual server could not choose, and warns of servers that are no members of it', () => {
    const sound = { tools: ['read_*', 'fs:write'], prompts: ['*'], resources: ['file:///**', 're:x+'] };
    expect(problems({}, {}, {}, [], sound)).toEqual([]);
    expect(problems({}, {}, {}, [], { tools: ['db:query'], prompts: ['[a'], resources: ['ok', '{a}'] })).toEqual([
      expect.stringMatching(/^warning upstream\.virtual\[0\]\.tools\[0\]: no configured server matches "db"/),
      expect.stringMatching(/^error upstream\.virtual\[0\]\.prompts\[0\]: bad pattern/),
      expect.stringMatching(/^error upstream\.virtual\[0\]\.resources\[1\]: bad pattern/),
    ]);
  });
});
