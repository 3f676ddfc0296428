import type { Principal } from '../core/principal.ts';

/** Groups of 16 bits in an IPv6 address, and in the network that one subscriber is given at least (RFC 6177). */
const ADDRESS_GROUPS = 8;
const NETWORK_GROUPS = 4;

/**
 * Under which key a caller's budgets and calls are kept. Those of a principal are its own, wherever it calls from.
 * Anonymous callers are told apart by address: an IPv4 address, or an IPv6 /64, within which a caller picks any address.
 */
export function budgetKey(who: Principal, clientIp: string): string {
  return who.provider === 'anonymous' ? `anonymous:${clientIp.includes(':') ? networkOf(clientIp) : clientIp}` : who.key;
}

/** The first 64 bits of an address in canonical text (RFC 5952), as four groups. */
function networkOf(address: string): string {
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
