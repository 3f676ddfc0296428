/** Groups of 16 bits in an IPv6 address, and in the network that one subscriber is given at least (RFC 6177). */
const ADDRESS_GROUPS = 8;
const NETWORK_GROUPS = 4;

/**
 * What stands for one client where clients are counted by address: an IPv4 address as it is, an IPv6 address by its /64
 * (as four groups), within which a client picks any address. `address` is in canonical text (RFC 5952).
 */
export function clientNetwork(address: string): string {
  if (!address.includes(':')) return address;
  const [before = '', after = ''] = address.split('::', 2);
  const left = groupsOf(before);
  if (left.length < NETWORK_GROUPS) {
    const right = groupsOf(after);
    // An IPv4 address at the end stands for two groups.
    const rightCount = right.length + (after.includes('.') ? 1 : 0);
    while (left.length + rightCount < ADDRESS_GROUPS) left.push('0');
    left.push(...right);
  }
  return `${left.slice(0, NETWORK_GROUPS).join(':')}::/64`;
}

function groupsOf(text: string): string[] {
  return text === '' ? [] : text.split(':');
}
