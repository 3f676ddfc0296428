import { describe, expect, it } from 'vitest';
import type { RateLimitSettings } from '../../src/core/config.ts';
import { emptyNotes, type LimitSpec, type Principal, type ProviderName } from '../../src/core/principal.ts';
import { type Budget, ChargeBook, type NamedCharge } from '../../src/pipeline/charges.ts';
import { limitPolicy } from '../../src/core/limit-fields.ts';
import { compileToolIndex } from '../../src/policy/tool-index.ts';

const COMMON: LimitSpec = { perSecond: 25, burst: 10, failMode: 'local' };
const SLOW: LimitSpec = { perSecond: 0.5, burst: 3, failMode: 'closed' };

const SETTINGS: RateLimitSettings = {
  isEnabled: true,
  default: COMMON,
  isDeniedCounted: true,
  maxInFlight: 64,
  address: null,
  tools: [],
  perToolDefault: null,
  methods: [],
  maxIdentities: 1024,
  idleTtlMs: 10_000,
};

function principal(id: string, provider: ProviderName = 'api_key', limit: LimitSpec = COMMON): Principal {
  const access = { mayReach: () => true, tool: () => ({ isAllowed: true, rule: '' }), allowsAllTools: () => true };
  return { key: `${provider}:${id}`, provider, id, isAdmin: false, access, limit, notAfterMs: Number.POSITIVE_INFINITY };
}

const ALICE = principal('alice');
const ANYBODY = principal('anonymous', 'anonymous');

function book(changes: Partial<RateLimitSettings> = {}): ChargeBook {
  const settings = { ...SETTINGS, ...changes };
  return new ChargeBook(settings, compileToolIndex(settings.tools.map(({ pattern }) => pattern)));
}

/** `limit key × tokens` of each charge. */
function shown(charges: readonly NamedCharge[]): string[] {
  return charges.map(({ limit, key, tokens }) => `${limit} ${key} × ${tokens}`);
}

function ofCall(budget: Budget, tool: string, server = 'fs'): string[] {
  return shown(budget.ofMessage(server, 'tools/call', tool));
}

describe('ChargeBook', () => {
  it('charges an address only where a limit for it is configured', () => {
    expect(book().ofAddress('192.0.2.1')).toEqual([]);
    expect(shown(book({ address: SLOW }).ofAddress('192.0.2.1'))).toEqual(['address address:192.0.2.1 × 1']);
  });

  it('charges all addresses of one IPv6 /64 together', () => {
    const keys = ['2001:db8:1:2::6', '2001:db8:1:2:3:4:5:6', '2001:db8:1:3::6'].map((ip) => book({ address: SLOW }).ofAddress(ip)[0]?.key);
    expect(keys).toEqual(['address:2001:db8:1:2::/64', 'address:2001:db8:1:2::/64', 'address:2001:db8:1:3::/64']);
  });

  it('works the charge of a configured caller out once, whatever address it calls from', () => {
    const charges = book();
    const budget = charges.budgetOf(ALICE, '192.0.2.1');
    expect(charges.budgetOf(ALICE, '192.0.2.2')).toBe(budget);
    expect(shown(budget.own)).toEqual(['principal api_key:alice × 1']);
    expect(budget.own[0]?.spec).toBe(COMMON);
  });

  it('keeps nothing for anonymous callers, who are as many as there are addresses', () => {
    const charges = book();
    expect(shown(charges.budgetOf(ANYBODY, '192.0.2.1').own)).toEqual(['principal anonymous:192.0.2.1 × 1']);
    expect(charges.budgetOf(ANYBODY, '192.0.2.1')).not.toBe(charges.budgetOf(ANYBODY, '192.0.2.1'));
  });

  it('charges nobody anything when limits are off', () => {
    const charges = book({ isEnabled: false, address: SLOW, perToolDefault: SLOW, tools: [{ pattern: '*', limit: SLOW, cost: 5 }] });
    const budget = charges.budgetOf(ALICE, '192.0.2.1');
    expect([charges.ofAddress('192.0.2.1'), budget.own, budget.ofMessage('fs', 'tools/call', 'x')]).toEqual([[], [], []]);
    expect(budget.key).toBe('api_key:alice');
  });

  it('states each policy as a structured field: the burst, and the seconds in which it comes back', () => {
    const policies = [COMMON, SLOW, { ...SLOW, burst: 2.9 }].map(
      (limit) => book().budgetOf(principal('x', 'api_key', limit), '')?.own[0]?.policy,
    );
    expect(policies).toEqual([limitPolicy('principal', 10, 1), limitPolicy('principal', 3, 6), limitPolicy('principal', 2, 4)]);
    expect(book({ address: SLOW }).ofAddress('::1')[0]?.policy).toBe(limitPolicy('address', 3, 6));
  });
});

describe('what a message takes beside its token', () => {
  const tools = [
    { pattern: 'fs:write_*', limit: SLOW, cost: 1 },
    { pattern: '*_*', limit: COMMON, cost: 4 },
    { pattern: 'big', limit: null, cost: 10 },
  ];

  it('is nothing without limits of tools and methods', () => {
    const budget = book().budgetOf(ALICE, '');
    for (const method of ['tools/call', 'tools/list', 'ping', 'notifications/cancelled', ''])
      expect(budget.ofMessage('fs', method, 'x')).toEqual([]);
  });

  it('is a token of the first pattern that matches, and the rest of its cost', () => {
    const budget = book({ tools }).budgetOf(ALICE, '');
    expect(ofCall(budget, 'write_a')).toEqual(['tool tool:api_key:alice\n"fs:write_*" × 1']);
    expect(ofCall(budget, 'write_a', 'db')).toEqual(['tool tool:api_key:alice\n"*_*" × 1', 'principal api_key:alice × 3']);
    expect(ofCall(budget, 'big')).toEqual(['principal api_key:alice × 9']);
    expect(ofCall(budget, 'other')).toEqual([]);
  });

  it('is the same object for all tools of one pattern: one bucket per caller and pattern', () => {
    const charges = book({ tools });
    const budget = charges.budgetOf(ALICE, '');
    expect(budget.ofMessage('fs', 'tools/call', 'write_a')).toBe(budget.ofMessage('fs', 'tools/call', 'write_b'));
    expect(ofCall(charges.budgetOf(principal('bob'), ''), 'write_a')).toEqual(['tool tool:api_key:bob\n"fs:write_*" × 1']);
  });

  it('is a token per server and tool where no pattern matches and a default is set', () => {
    const budget = book({ tools, perToolDefault: SLOW }).budgetOf(ALICE, '');
    expect(ofCall(budget, 'read')).toEqual(['tool tool:api_key:alice\nfs\nread × 1']);
    expect(ofCall(budget, 'read', 'db')).toEqual(['tool tool:api_key:alice\ndb\nread × 1']);
    expect(ofCall(budget, 'big')).toEqual(['principal api_key:alice × 9']);
  });

  it('is one bucket for all names that no tool has, so that they cannot be many', () => {
    const budget = book({ perToolDefault: SLOW }).budgetOf(ALICE, '');
    expect(ofCall(budget, 'x'.repeat(129))).toEqual(ofCall(budget, 'y'.repeat(1000)));
    expect(ofCall(budget, 'x'.repeat(129))).toEqual(['tool tool:api_key:alice\nfs\n × 1']);
  });

  it('is a token of its method, in calls behind that of the tool and before the cost', () => {
    const methods = [
      { method: 'tools/list', limit: SLOW },
      { method: 'tools/call', limit: COMMON },
    ];
    const budget = book({ tools, methods, perToolDefault: SLOW }).budgetOf(ALICE, '');
    expect(shown(budget.ofMessage('fs', 'tools/list', ''))).toEqual(['method method:api_key:alice\ntools/list × 1']);
    expect(budget.ofMessage('fs', 'ping', '')).toEqual([]);
    expect(budget.ofMessage('fs', 'tools/lis\u0000', '')).toEqual([]);
    const call = 'method method:api_key:alice\ntools/call × 1';
    expect(ofCall(budget, 'a_b')).toEqual(['tool tool:api_key:alice\n"*_*" × 1', call, 'principal api_key:alice × 3']);
    expect(ofCall(budget, 'plain')).toEqual(['tool tool:api_key:alice\nfs\nplain × 1', call]);
  });

  it('names its rule for operators', () => {
    const budget = book({ tools, perToolDefault: SLOW, methods: [{ method: 'ping', limit: SLOW }] }).budgetOf(ALICE, '');
    const rules = ['write_a', 'big', 'plain'].map((tool) => budget.ofMessage('fs', 'tools/call', tool)[0]?.rule);
    expect(rules).toEqual(['rate_limit.tool_limits "fs:write_*"', 'cost of rate_limit.tool_limits "big"', 'rate_limit.per_tool_default']);
    expect(budget.ofMessage('fs', 'ping', '')[0]?.rule).toBe('rate_limit.method_limits "ping"');
  });

  it('never mixes a pattern with a tool of the same spelling', () => {
    const charges = book({ tools: [{ pattern: 'fs:read', limit: SLOW, cost: 1 }], perToolDefault: SLOW });
    const budget = charges.budgetOf(ALICE, '');
    const keys = [budget.ofMessage('fs', 'tools/call', 'read'), budget.ofMessage('db', 'tools/call', 'fs:read')].map(
      ([first]) => first?.key,
    );
    expect(new Set(keys).size).toBe(2);
    const named = charges.budgetOf(principal('alice\nfs'), '');
    expect(ofCall(named, 'x')).not.toEqual(ofCall(budget, 'x'));
  });
});

describe('a budget that is kept with its principal', () => {
  it('is that of the book that is asked', () => {
    const noted: Principal = { ...ALICE, notes: emptyNotes() };
    const [first, second] = [book(), book({ isEnabled: false })];
    const own = first.budgetOf(noted, '');
    const other = second.budgetOf(noted, '');
    expect([own.own.length, other.own.length]).toEqual([1, 0]);
    for (const [one, budget] of [
      [first, own],
      [first, own],
      [second, other],
      [first, own],
    ] as const)
      expect(one.budgetOf(noted, '')).toBe(budget);
  });
});
