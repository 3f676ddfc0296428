import { BlockList, isIP, SocketAddress } from 'node:net';

/** Finds the client behind proxies: the peer, what the forwarding headers said (lines joined by commas), empty = absent. */
export type ClientAddress = (peerIp: string, forwardedFor: string, forwarded: string) => string;

const MAX_HOPS = 32;
const MAPPED = '::ffff:';
const FORWARDED_FOR = /^for=("?)([^"\\]*)\1$/i;

/**
 * `trustedProxies` are addresses or CIDR blocks. Forwarding headers are believed only from them: the rightmost
 * address that is not a trusted proxy is the client. Where the chain is malformed, or `X-Forwarded-For` and
 * `Forwarded` (RFC 7239) disagree (one of them was not written by the proxy), it is the peer.
 */
export function createClientAddress(trustedProxies: readonly string[]): ClientAddress {
  if (trustedProxies.length === 0) return (peerIp) => peerIp;
  const isTrusted = createAddressSet(trustedProxies);
  return (peerIp, forwardedFor, forwarded) => {
    if ((forwardedFor === '' && forwarded === '') || !isTrusted(peerIp)) return peerIp;
    const byList = forwardedFor === '' ? null : rightmostUntrusted(forwardedFor.split(','), parseHop, isTrusted);
    const byForwarded = forwarded === '' ? null : rightmostUntrusted(forwarded.split(','), parseForwardedHop, isTrusted);
    if (forwardedFor !== '' && forwarded !== '' && byList !== byForwarded) return peerIp;
    return byList ?? byForwarded ?? peerIp;
  };
}

/** Membership in a list of addresses and CIDR blocks; throws on an entry that is neither. */
export function createAddressSet(entries: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const entry of entries) {
    const [base = '', bits] = entry.split('/');
    const address = canonicalAddress(base);
    if (address === null) throw new Error(`Not an address or CIDR block: ${entry}`);
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address) => list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6');
}

/** One spelling per address, IPv4-mapped IPv6 as IPv4; null for anything else (names, zones). */
export function canonicalAddress(text: string): string | null {
  const family = isIP(text);
  if (family === 4) return text;
  if (family === 0 || text.includes('%')) return null;
  const { address } = new SocketAddress({ address: text, family: 'ipv6' });
  const mapped = address.startsWith(MAPPED) ? address.slice(MAPPED.length) : '';
  return isIP(mapped) === 4 ? mapped : address;
}

/** Peers whose text is kept. Behind a load balancer they are few; else what does not fit is worked out again. */
const KEPT_ADDRESSES = 4096;

/**
 * Gives the textual form of a socket's 4 or 16 address bytes; empty when the socket had none. Keeps texts: one that is the same object as
 * before is also found faster in every map that addresses are looked up in.
 */
export function createAddressFormat(): (bytes: Uint8Array) => string {
  const texts = new Map<number | string, string>();
  return (bytes) => {
    const key = bytes.length === 4 ? numberOf(bytes) : String.fromCharCode(...bytes);
    let text = texts.get(key);
    if (text === undefined) {
      if (texts.size >= KEPT_ADDRESSES) texts.clear();
      text = formatAddress(bytes);
      texts.set(key, text);
    }
    return text;
  };
}

function numberOf(bytes: Uint8Array): number {
  return ((bytes[0] as number) << 24) | ((bytes[1] as number) << 16) | ((bytes[2] as number) << 8) | (bytes[3] as number);
}

function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  if (bytes.length !== 16) return '';
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0)).toString(16));
  return canonicalAddress(groups.join(':')) ?? '';
}

function rightmostUntrusted(
  hops: readonly string[],
  parse: (hop: string) => string | null,
  isTrusted: (address: string) => boolean,
): string | null {
  let address: string | null = null;
  for (let i = hops.length - 1, seen = 0; i >= 0 && seen < MAX_HOPS; i -= 1, seen += 1) {
    address = parse((hops[i] ?? '').trim());
    if (address === null || !isTrusted(address)) return address;
  }
  return address;
}

/** `203.0.113.7`, `203.0.113.7:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`. */
function parseHop(hop: string): string | null {
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(hop);
  if (bracketed !== null) return canonicalAddress(bracketed[1] ?? '');
  const withPort = /^([\d.]+):\d{1,5}$/.exec(hop);
  return canonicalAddress(withPort?.[1] ?? hop);
}

/** One element of `Forwarded`. A quoted comma tears its element apart, which makes it malformed, which is safe. */
function parseForwardedHop(hop: string): string | null {
  const found = hop.split(';').filter((pair) => /^\s*for\s*=/i.test(pair));
  const match = found.length === 1 ? FORWARDED_FOR.exec((found[0] ?? '').trim()) : null;
  return match === null ? null : parseHop(match[2] ?? '');
}
