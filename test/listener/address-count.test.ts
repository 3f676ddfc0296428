import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AddressCount, createAddressCount } from '../../src/listener/address-count.ts';
import { createAddressSet } from '../../src/listener/client-address.ts';

const nobody = (): boolean => false;

function takeAll(counts: AddressCount, addresses: readonly string[]): boolean[] {
  return addresses.map((address) => counts.take(address));
}

describe('createAddressCount', () => {
  it('counts IPv4 addresses each for themselves', () => {
    const counts = createAddressCount(1, nobody);
    expect(takeAll(counts, ['192.0.2.1', '192.0.2.2', '192.0.2.1'])).toEqual([true, true, false]);
    counts.give('192.0.2.1');
    expect(takeAll(counts, ['192.0.2.1', '192.0.2.2'])).toEqual([true, false]);
  });

  it('counts the addresses of one IPv6 /64 together, so that choosing another one gives no further share', () => {
    const counts = createAddressCount(2, nobody);
    const client = ['2001:db8:1:2::1', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2:ffff:ffff:ffff:ffff'];
    expect(takeAll(counts, client)).toEqual([true, true, false]);
    expect(counts.take('2001:db8:1:3::1')).toBe(true);
    counts.give('2001:db8:1:2:3:4:5:6');
    expect(takeAll(counts, ['2001:db8:1:2::7', '2001:db8:1:2::8'])).toEqual([true, false]);
  });

  it('counts nothing of a trusted proxy, and gives nothing back for it to its neighbours', () => {
    const counts = createAddressCount(1, createAddressSet(['2001:db8::1']));
    expect(takeAll(counts, ['2001:db8::2', '2001:db8::1', '2001:db8::1'])).toEqual([true, true, true]);
    counts.give('2001:db8::1');
    expect(counts.take('2001:db8::3')).toBe(false);
  });

  it('limits nothing when it is off', () => {
    const counts = createAddressCount(0, nobody);
    expect([counts.isOn, ...takeAll(counts, ['::1', '::1', '192.0.2.1', '192.0.2.1'])]).toEqual([false, true, true, true, true]);
  });

  it('never holds more than the share of a network, and has it all again when its connections are closed', () => {
    const address = fc.constantFrom('192.0.2.1', '2001:db8::1', '2001:db8::2', '2001:db8:0:1::1');
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), fc.array(address, { maxLength: 20 }), (share, asked) => {
        const counts = createAddressCount(share, nobody);
        const taken = asked.filter((one) => counts.take(one));
        const isOfPair = (one: string): boolean => one.startsWith('2001:db8::');
        expect(taken.filter(isOfPair).length).toBe(Math.min(share, asked.filter(isOfPair).length));
        for (const one of taken) counts.give(one);
        expect(Array.from({ length: share + 1 }, () => counts.take('2001:db8::9'))).toEqual([
          ...Array.from({ length: share }, () => true),
          false,
        ]);
      }),
    );
  });
});
