import { describe, expect, it } from 'vitest';
import { BASE, errorsOf, load, OTHER_HASH, snapshotOf, warningsOf } from './support.ts';

function tool(members: string): string {
  return `[[rate_limit.tool_limits]]\n${members}\n`;
}

describe('checkLimits', () => {
  it('reads limits per tool, method and address as they are', () => {
    const { rateLimit } = snapshotOf(
      `${BASE}[rate_limit]\nfail_mode = "closed"\nmax_identities = 4096\nidle_ttl_secs = 3\n` +
        '[rate_limit.ip]\nrequests_per_second = 8\n' +
        '[rate_limit.per_tool_default]\nrequests_per_second = 0.5\nburst_size = 2\nfail_mode = "open"\n' +
        tool('tool_pattern = "fs:write_*"\nrequests_per_second = 2\nburst_size = 3\ncost = 4') +
        tool('tool_pattern = "big"\ncost = 10') +
        '[[rate_limit.method_limits]]\nmethod = "tools/list"\nrequests_per_second = 1\nfail_mode = "local"\n',
    );
    expect(rateLimit).toMatchObject({
      default: { perSecond: 25, burst: 10, failMode: 'closed' },
      address: { perSecond: 8, burst: 4, failMode: 'closed' },
      perToolDefault: { perSecond: 0.5, burst: 2, failMode: 'open' },
      tools: [
        { pattern: 'fs:write_*', limit: { perSecond: 2, burst: 3, failMode: 'closed' }, cost: 4 },
        { pattern: 'big', limit: null, cost: 10 },
      ],
      methods: [{ method: 'tools/list', limit: { perSecond: 1, burst: 1, failMode: 'local' } }],
      maxIdentities: 4096,
      idleTtlMs: 3000,
    });
  });

  it('gives a key the fail mode of all', () => {
    const text = `${BASE}[rate_limit]\nfail_mode = "open"\n`.replace('id = "alice"', 'id = "alice"\nrate_limit = 4');
    expect(snapshotOf(text).auth.apiKeys[0]?.limit).toEqual({ perSecond: 4, burst: 2, failMode: 'open' });
  });

  it.each([
    [tool('tool_pattern = "x"'), 'rate_limit.tool_limits[0] limits nothing: give requests_per_second, a cost above 1, or both'],
    [tool('tool_pattern = "x"\ncost = 1'), 'rate_limit.tool_limits[0] limits nothing: give requests_per_second, a cost above 1, or both'],
    [tool('requests_per_second = 1'), 'rate_limit.tool_limits[0].tool_pattern is missing'],
    [
      tool('tool_pattern = "x"\ncost = 2\nburst_size = 3'),
      'rate_limit.tool_limits[0].burst_size has no meaning without requests_per_second beside it',
    ],
    ['[rate_limit.ip]\nburst_size = 3\n', 'rate_limit.ip.burst_size has no meaning without requests_per_second beside it'],
    [
      '[rate_limit.per_tool_default]\nfail_mode = "open"\n',
      'rate_limit.per_tool_default.fail_mode has no meaning without requests_per_second beside it',
    ],
    [
      tool('tool_pattern = "x"\ncost = 11'),
      'rate_limit.tool_limits[0].cost is more than rate_limit.burst_size (10): such a call could never be admitted',
    ],
    [
      tool('tool_pattern = "x"\ncost = 2') + tool('tool_pattern = "x"\ncost = 3'),
      'rate_limit.tool_limits[1].tool_pattern is the same as rate_limit.tool_limits[0].tool_pattern',
    ],
    ['[[rate_limit.method_limits]]\nmethod = "ping"\n', 'rate_limit.method_limits[0].requests_per_second is missing'],
    ['[rate_limit]\nfail_mode = "off"\n', expect.stringMatching(/^rate_limit\.fail_mode must be/)],
    ['[rate_limit]\nmax_identities = 2097153\n', expect.stringMatching(/^rate_limit\.max_identities must be/)],
  ])('refuses %j', (text, message) => {
    expect(errorsOf(load(BASE + text))).toEqual([message]);
  });

  it('warns of a caller whose own burst is smaller than a cost, and does not mind a common burst that nobody has', () => {
    const own = (burst: number): string => BASE.replace('id = "alice"', `id = "alice"\nburst = ${burst}`);
    expect(warningsOf(load(own(4) + tool('tool_pattern = "x"\ncost = 5')))).toEqual([
      'rate_limit.tool_limits[0].cost is more than the burst of "alice" (4), who can never call such a tool',
    ]);
    expect(load(own(50) + tool('tool_pattern = "x"\ncost = 20')).problems).toEqual([]);
    const second = `[[auth.api_keys]]\nid = "bob"\nkey_hash = "${OTHER_HASH}"\nallowed_tools = []\n`;
    expect(errorsOf(load(second + own(50) + tool('tool_pattern = "x"\ncost = 20')))).toHaveLength(1);
  });
});
