import { BlockList, isIPv4, isIPv6 } from 'node:net';

/**
 * What an address is to the SSRF rule: `refused` for ever (metadata services, link-local, multicast, reserved),
 * `private` with the switch (RFC 1918, RFC 6598, RFC 4193, loopback, unspecified), else `public`.
 */
export type AddressClass = 'public' | 'private' | 'refused';

type Cidr = readonly [network: string, prefix: number];

const REFUSED_V4: readonly Cidr[] = [
  ['169.254.0.0', 16], // link-local, with the metadata services of AWS, Azure, GCP and others
  ['100.100.100.200', 32], // Alibaba Cloud metadata
  ['192.0.0.192', 32], // Oracle Cloud metadata
  ['168.63.129.16', 32], // Azure WireServer
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
];

const PRIVATE_V4: readonly Cidr[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
];

const REFUSED_V6: readonly Cidr[] = [
  ['fd00:ec2::254', 128], // AWS metadata, inside the unique local range
  ['fd20:ce::254', 128], // GCP metadata, likewise
  ['fe80::', 10],
  ['ff00::', 8],
  ['2001::', 23], // Teredo, ORCHID, benchmarking and other special purposes (RFC 6890)
  ['2001:db8::', 32],
  ['2002::', 16], // 6to4 (RFC 7526: deprecated), may hide any IPv4 address
  ['3fff::', 20],
];

const PRIVATE_V6: readonly Cidr[] = [
  ['::', 128],
  ['::1', 128],
  ['fc00::', 7],
  ['fec0::', 10],
];

const refusedV4 = blockList(REFUSED_V4, 'ipv4');
const privateV4 = blockList(PRIVATE_V4, 'ipv4');
const refusedV6 = blockList(REFUSED_V6, 'ipv6');
const privateV6 = blockList(PRIVATE_V6, 'ipv6');
const globalV6 = blockList([['2000::', 3]], 'ipv6');

function blockList(blocks: readonly Cidr[], family: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList();
  for (const [network, prefix] of blocks) list.addSubnet(network, prefix, family);
  return list;
}

/** `address` is a textual IPv4 or IPv6 address; anything else is refused. */
export function classifyAddress(address: string): AddressClass {
  if (isIPv4(address)) return classifyV4(address);
  if (!isIPv6(address) || address.includes('%')) return 'refused';
  return classifyV6(address);
}

function classifyV4(address: string): AddressClass {
  if (refusedV4.check(address, 'ipv4')) return 'refused';
  return privateV4.check(address, 'ipv4') ? 'private' : 'public';
}

function classifyV6(address: string): AddressClass {
  if (privateV6.check(address, 'ipv6') && !refusedV6.check(address, 'ipv6')) return 'private';
  const groups = groupsOf(address);
  if (groups === null) return 'refused';
  const embedded = embeddedV4(groups);
  if (embedded !== null) return classifyV4(embedded);
  if (refusedV6.check(address, 'ipv6') || !globalV6.check(address, 'ipv6')) return 'refused';
  return isIsatap(groups) ? classifyV4(lastV4(groups)) : 'public';
}

/** The eight 16-bit groups. `new URL` writes every IPv6 form in one canonical way without dots. */
function groupsOf(address: string): number[] | null {
  const url = URL.parse(`http://[${address}]/`);
  if (url === null) return null;
  const [head = '', tail] = url.hostname.slice(1, -1).split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - front.length - back.length }, () => '0');
  return [...front, ...zeros, ...back].map((group) => Number.parseInt(group, 16));
}

/**
 * The IPv4 address in the low 32 bits of IPv4-mapped, IPv4-translated and IPv4-compatible addresses (RFC 4291, RFC 2765)
 * and of the well-known NAT64 prefix (RFC 6052). Null for other addresses.
 */
function embeddedV4(groups: readonly number[]): string | null {
  const upper = groups
    .slice(0, 6)
    .map((group) => group.toString(16))
    .join(':');
  const embeds = upper === '0:0:0:0:0:0' || upper === '0:0:0:0:0:ffff' || upper === '0:0:0:0:ffff:0' || upper === '64:ff9b:0:0:0:0';
  return embeds ? lastV4(groups) : null;
}

/** RFC 5214: interface identifiers `0000:5efe` and `0200:5efe` are followed by an IPv4 address. */
function isIsatap(groups: readonly number[]): boolean {
  return (groups[4] === 0 || groups[4] === 0x200) && groups[5] === 0x5efe;
}

function lastV4(groups: readonly number[]): string {
  const high = groups[6] ?? 0;
  const low = groups[7] ?? 0;
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}
