import { SocketAddress } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Principal, ProviderName } from '../../src/core/principal.ts';
import { budgetKey } from '../../src/pipeline/budget-key.ts';

function principal(provider: ProviderName, key: string): Principal {
  const access = { mayReach: () => true, tool: () => ({ isAllowed: true, rule: '' }), allowsAllTools: () => true };
  return { key, provider, id: 'x', isAdmin: false, access, limit: { perSecond: 1, burst: 1 }, notAfterMs: Infinity };
}

const ALICE = principal('api_key', 'api_key:alice');
const ANYBODY = principal('anonymous', 'anonymous:anonymous');

/** The text that sockets give for 16 bytes. */
function textOf(bytes: Uint8Array): string {
  const address = Buffer.from(bytes)
    .toString('hex')
    .replaceAll(/.{4}(?=.)/g, '$&:');
  return new SocketAddress({ address, family: 'ipv6' }).address;
}

describe('budgetKey', () => {
  it('is the key of an authenticated principal, wherever it calls from', () => {
    for (const ip of ['192.0.2.1', '2001:db8::1', '']) expect(budgetKey(ALICE, ip)).toBe('api_key:alice');
  });

  it('tells anonymous IPv4 callers apart by address', () => {
    expect(budgetKey(ANYBODY, '192.0.2.1')).toBe('anonymous:192.0.2.1');
    expect(budgetKey(ANYBODY, '192.0.2.2')).toBe('anonymous:192.0.2.2');
  });

  it.each([
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::6', '2001:db8:1:2::/64'],
    ['2001:db8:1::6', '2001:db8:1:0::/64'],
    ['2001:db8::2:3:4:5:6', '2001:db8:0:2::/64'],
    ['::2:3:4:5:6', '0:0:0:2::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
    ['1:2:3::4:5:192.0.2.1', '1:2:3:0::/64'],
    ['1:2:3:4:5:6:192.0.2.1', '1:2:3:4::/64'],
  ])('puts the anonymous caller %s into %s', (ip, network) => {
    expect(budgetKey(ANYBODY, ip)).toBe(`anonymous:${network}`);
  });

  it('gives all addresses of one /64 one key, and those of two networks two', () => {
    const half = fc.uint8Array({ minLength: 8, maxLength: 8 });
    const sparse = half.map((bytes) => bytes.map((byte) => (byte < 160 ? 0 : byte)));
    fc.assert(
      fc.property(fc.oneof(half, sparse), fc.oneof(half, sparse), half, sparse, (network, other, host, otherHost) => {
        // Those that begin with 64 zero bits hold the mapped IPv4 addresses, which arrive as IPv4.
        fc.pre(network.some((byte) => byte > 0) && other.some((byte) => byte > 0));
        const key = budgetKey(ANYBODY, textOf(Uint8Array.of(...network, ...host)));
        expect(budgetKey(ANYBODY, textOf(Uint8Array.of(...network, ...otherHost)))).toBe(key);
        const isSame = Buffer.compare(network, other) === 0;
        expect(budgetKey(ANYBODY, textOf(Uint8Array.of(...other, ...host))) === key).toBe(isSame);
      }),
    );
  });
});
