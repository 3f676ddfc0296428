import { describe, expect, it } from 'vitest';
import type { Principal, ProviderName } from '../../src/core/principal.ts';
import { budgetKey } from '../../src/pipeline/budget-key.ts';

function principal(provider: ProviderName, key: string): Principal {
  const access = { mayReach: () => true, tool: () => ({ isAllowed: true, rule: '' }), allowsAllTools: () => true };
  return { key, provider, id: 'x', isAdmin: false, access, limit: { perSecond: 1, burst: 1, failMode: 'local' }, notAfterMs: Infinity };
}

const ALICE = principal('api_key', 'api_key:alice');
const ANYBODY = principal('anonymous', 'anonymous:anonymous');

describe('budgetKey', () => {
  it('is the key of an authenticated principal, wherever it calls from', () => {
    for (const ip of ['192.0.2.1', '2001:db8::1', '']) expect(budgetKey(ALICE, ip)).toBe('api_key:alice');
  });

  it('tells anonymous IPv4 callers apart by address', () => {
    expect(budgetKey(ANYBODY, '192.0.2.1')).toBe('anonymous:192.0.2.1');
    expect(budgetKey(ANYBODY, '192.0.2.2')).toBe('anonymous:192.0.2.2');
  });

  it('tells anonymous IPv6 callers apart by network', () => {
    expect(budgetKey(ANYBODY, '2001:db8:1:2::6')).toBe('anonymous:2001:db8:1:2::/64');
    expect(budgetKey(ANYBODY, '2001:db8:1:2:3:4:5:6')).toBe('anonymous:2001:db8:1:2::/64');
    expect(budgetKey(ANYBODY, '2001:db8:1:3::6')).toBe('anonymous:2001:db8:1:3::/64');
  });
});
