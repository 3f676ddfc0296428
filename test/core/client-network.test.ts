import { SocketAddress } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clientNetwork } from '../../src/core/client-network.ts';

/** The text that sockets give for 16 bytes. */
function textOf(bytes: Uint8Array): string {
  const address = Buffer.from(bytes)
    .toString('hex')
    .replaceAll(/.{4}(?=.)/g, '$&:');
  return new SocketAddress({ address, family: 'ipv6' }).address;
}

describe('clientNetwork', () => {
  it.each(['192.0.2.1', '', 'unknown'])('leaves %j as it is', (text) => {
    expect(clientNetwork(text)).toBe(text);
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
  ])('puts %s into %s', (address, network) => {
    expect(clientNetwork(address)).toBe(network);
  });

  it('gives all addresses of one /64 one text, and those of two networks two', () => {
    const half = fc.uint8Array({ minLength: 8, maxLength: 8 });
    const sparse = half.map((bytes) => bytes.map((byte) => (byte < 160 ? 0 : byte)));
    fc.assert(
      fc.property(fc.oneof(half, sparse), fc.oneof(half, sparse), half, sparse, (network, other, host, otherHost) => {
        // Those that begin with 64 zero bits hold the mapped IPv4 addresses, which arrive as IPv4.
        fc.pre(network.some((byte) => byte > 0) && other.some((byte) => byte > 0));
        const text = clientNetwork(textOf(Uint8Array.of(...network, ...host)));
        expect(clientNetwork(textOf(Uint8Array.of(...network, ...otherHost)))).toBe(text);
        const isSame = Buffer.compare(network, other) === 0;
        expect(clientNetwork(textOf(Uint8Array.of(...other, ...host))) === text).toBe(isSame);
      }),
    );
  });
});
