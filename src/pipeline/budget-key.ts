import { clientNetwork } from '../core/client-network.ts';
import type { Principal } from '../core/principal.ts';

/**
 * Under which key a caller's budgets and calls are kept. Those of a principal are its own, wherever it calls from.
 * Anonymous callers are told apart by address: an IPv4 address, or an IPv6 /64, within which a caller picks any address.
 */
export function budgetKey(who: Principal, clientIp: string): string {
  return who.provider === 'anonymous' ? `anonymous:${clientNetwork(clientIp)}` : who.key;
}
