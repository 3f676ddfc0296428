import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalAddress, createAddressSet, createAddressFormat, createClientAddress } from '../../src/listener/client-address.ts';

const PROXY = '10.0.0.1';
const find = createClientAddress(['10.0.0.0/8', '2001:db8:1::/48', '192.0.2.9']);

describe('the client address', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['198.51.100.1, 203.0.113.7', '203.0.113.7'],
    ['6.6.6.6, 203.0.113.7, 10.9.9.9', '203.0.113.7'],
    ['203.0.113.7,192.0.2.9 , 10.1.1.1', '203.0.113.7'],
    ['203.0.113.7:4711', '203.0.113.7'],
    ['2001:DB8:0::7', '2001:db8::7'],
    ['[2001:db8::7]:4711', '2001:db8::7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::ffff:10.2.2.2', '10.2.2.2'],
    ['10.3.3.3, 10.4.4.4', '10.3.3.3'],
    ['203.0.113.7, 2001:db8:1::5', '203.0.113.7'],
  ])('behind a trusted proxy reads X-Forwarded-For %s as %s', (header, client) => {
    expect(find(PROXY, header, '')).toBe(client);
  });

  it.each([
    ['for=203.0.113.7', '203.0.113.7'],
    ['For="[2001:db8::7]:4711";proto=https;by=10.0.0.1', '2001:db8::7'],
    ['for=6.6.6.6, for=203.0.113.7;host=a, for=10.1.1.1', '203.0.113.7'],
    ['proto=http;for="203.0.113.7:80"', '203.0.113.7'],
  ])('behind a trusted proxy reads Forwarded %s as %s', (header, client) => {
    expect(find(PROXY, '', header)).toBe(client);
  });

  it.each([
    'unknown',
    '203.0.113.7, unknown',
    '203.0.113.7, ',
    '203.0.113.7,, 10.1.1.1',
    'evil',
    '1.2.3',
    '[::1',
    'fe80::1%eth0',
    '0x7f.1',
    '203.0.113.7; x',
  ])('takes the peer when X-Forwarded-For is malformed where it matters: %s', (header) => {
    expect(find(PROXY, header, '')).toBe(PROXY);
  });

  it.each(['for=unknown', 'for=_hidden', 'for="a,b"', 'by=203.0.113.7', 'for=1.2.3.4;for=5.6.7.8', 'for="203.0.113.7', 'for=203.0.113.7"'])(
    'takes the peer when Forwarded is malformed: %s',
    (header) => {
      expect(find(PROXY, '', header)).toBe(PROXY);
    },
  );

  it('believes nothing that an untrusted peer says', () => {
    expect(find('203.0.113.66', '10.0.0.1, 127.0.0.1', 'for=127.0.0.1')).toBe('203.0.113.66');
    expect(createClientAddress([])('203.0.113.66', '127.0.0.1', '')).toBe('203.0.113.66');
  });

  it('takes the peer when the two headers disagree: one of them came from the client', () => {
    expect(find(PROXY, '203.0.113.7', 'for=127.0.0.1')).toBe(PROXY);
    expect(find(PROXY, '203.0.113.7', 'for=203.0.113.7')).toBe('203.0.113.7');
    expect(find(PROXY, 'junk', 'for=203.0.113.7')).toBe(PROXY);
  });

  it('never lets what a client puts in front change the answer', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (lie) => {
        expect(find(PROXY, `${lie}, 203.0.113.7`, '')).toBe('203.0.113.7');
      }),
    );
  });

  it('gives each address one spelling and anything else none', () => {
    expect(canonicalAddress('2001:0DB8:0:0:0:0:0:1')).toBe('2001:db8::1');
    expect(canonicalAddress('::FFFF:7f00:1')).toBe('127.0.0.1');
    for (const text of ['', 'localhost', '127.1', '127.0.0.1 ', 'fe80::1%1', '1.2.3.4/8']) expect(canonicalAddress(text)).toBeNull();
  });

  it('writes socket addresses as text', () => {
    const formatAddress = createAddressFormat();
    expect(formatAddress(Uint8Array.of(203, 0, 113, 7))).toBe('203.0.113.7');
    expect(formatAddress(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1))).toBe('127.0.0.1');
    expect(formatAddress(Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1))).toBe('2001:db8::1');
    expect(formatAddress(new Uint8Array(0))).toBe('');
  });

  it('writes every socket address as its own text, however many have been seen and again', () => {
    const formatAddress = createAddressFormat();
    const four = (index: number): Uint8Array => Uint8Array.of(index & 255, 7, index >> 8, 255 - (index & 255));
    const textOf = (bytes: Uint8Array): string => bytes.join('.');
    for (let round = 0; round < 2; round++) {
      for (let index = 0; index < 5000; index++) expect(formatAddress(four(index))).toBe(textOf(four(index)));
      for (let index = 0; index < 1000; index++) {
        const six = Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, index >> 8, index & 255, 0, 1);
        expect(formatAddress(six)).toBe(canonicalAddress(`2001:db8::${index.toString(16)}:1`));
      }
    }
    expect(formatAddress(Uint8Array.of(255, 255, 255, 255))).toBe('255.255.255.255');
  });

  it('refuses a list entry that is neither an address nor a block', () => {
    expect(() => createAddressSet(['proxy.example'])).toThrow('proxy.example');
    expect(() => createAddressSet(['10.0.0.0/99'])).toThrow('range');
  });
});
