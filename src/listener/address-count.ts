/** Connections per address, bounded by the number of connections. */
export interface AddressCount {
  readonly isOn: boolean;
  /** Counts one connection more, unless the address has its share: then false. */
  take(address: string): boolean;
  /** One connection of the address is closed. */
  give(address: string): void;
}

/** `maxPerAddress` 0 = off; `isExempt` addresses (trusted proxies) are not counted. */
export function createAddressCount(maxPerAddress: number, isExempt: (address: string) => boolean): AddressCount {
  const counts = new Map<string, number>();
  return {
    isOn: maxPerAddress > 0,
    take(address) {
      if (maxPerAddress === 0 || isExempt(address)) return true;
      const count = counts.get(address) ?? 0;
      if (count >= maxPerAddress) return false;
      counts.set(address, count + 1);
      return true;
    },
    give(address) {
      const count = counts.get(address);
      if (count === undefined) return;
      if (count > 1) counts.set(address, count - 1);
      else counts.delete(address);
    },
  };
}
