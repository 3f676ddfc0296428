import { clientNetwork } from '../core/client-network.ts';

/** Connections per client network (an IPv4 address, an IPv6 /64), bounded by the number of connections. */
export interface AddressCount {
  readonly isOn: boolean;
  /** Counts one connection more, unless the address's network has its share: then false. */
  take(address: string): boolean;
  /** One connection of the address is closed. */
  give(address: string): void;
}

/** `maxPerNetwork` 0 = off; `isExempt` addresses (trusted proxies) are not counted, whatever network they are in. */
export function createAddressCount(maxPerNetwork: number, isExempt: (address: string) => boolean): AddressCount {
  const counts = new Map<string, number>();
  return {
    isOn: maxPerNetwork > 0,
    take(address) {
      if (maxPerNetwork === 0 || isExempt(address)) return true;
      const network = clientNetwork(address);
      const count = counts.get(network) ?? 0;
      if (count >= maxPerNetwork) return false;
      counts.set(network, count + 1);
      return true;
    },
    give(address) {
      if (maxPerNetwork === 0 || isExempt(address)) return;
      const network = clientNetwork(address);
      const count = counts.get(network);
      if (count === undefined) return;
      if (count > 1) counts.set(network, count - 1);
      else counts.delete(network);
    },
  };
}
