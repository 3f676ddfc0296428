import { lookup as systemLookup } from 'node:dns';
import type { LookupAddress, LookupOptions } from 'node:dns';
import { isIP } from 'node:net';
import type { LookupFunction } from 'node:net';
import { classifyAddress } from './address.ts';

export interface SsrfOptions {
  readonly arePrivateNetworksAllowed: boolean;
}

/** What a URL may begin with. */
export interface Schemes {
  readonly names: readonly string[];
  readonly text: string;
}

const HTTP_SCHEMES: Schemes = { names: ['http:', 'https:'], text: 'http or https' };
export const WEBSOCKET_SCHEMES: Schemes = { names: ['ws:', 'wss:'], text: 'ws or wss' };

/** Names of cloud metadata services; what they resolve to is refused as well. */
const METADATA_NAMES: ReadonlySet<string> = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'metadata.internal',
  'metadata.azure.internal',
  'metadata.azure.com',
  'metadata.tencentyun.com',
  'metadata.platformequinix.com',
  'metadata.packet.net',
  'instance-data',
  'instance-data.ec2.internal',
  'rancher-metadata',
  'alibaba.metadata',
]);

/** The code of the error with which a guarded connection fails. */
export const SSRF_REFUSED: string = 'ERR_SSRF_REFUSED';

/**
 * Checks a URL that the gateway is asked to fetch, as far as its text says: scheme, metadata names, address literals in
 * every notation (`new URL` reads decimal, hex and octal forms). Null when nothing speaks against it, else the reason.
 * Names are checked again when they are resolved, by `guardedLookup`.
 */
export function checkUrl(text: string, options: SsrfOptions, schemes: Schemes = HTTP_SCHEMES): string | null {
  const url = URL.parse(text);
  if (url === null) return 'is not a valid URL';
  if (!schemes.names.includes(url.protocol)) return `must be ${schemes.text}, not ${url.protocol.slice(0, -1)}`;
  if (url.username !== '' || url.password !== '') return 'must not contain a user name or password; use headers';
  if (url.hash !== '') return 'must not contain a fragment';
  return checkHost(url.hostname.replace(/^\[|\]$/g, ''), options);
}

/** Like `checkUrl` for a bare host name or address. */
export function checkHost(host: string, options: SsrfOptions): string | null {
  const name = host.toLowerCase().replace(/\.+$/, '');
  if (name === '') return 'has no host';
  if (isIP(name) !== 0) return checkAddress(name, options);
  if (METADATA_NAMES.has(name) || name.endsWith('.metadata.google.internal'))
    return `${name} is a cloud metadata service, which is never reached`;
  const isLoopback = name === 'localhost' || name.endsWith('.localhost');
  return isLoopback && !options.arePrivateNetworksAllowed ? needsSwitch(name, 'is loopback') : null;
}

/** Null when connecting to this address is allowed, else the reason. */
export function checkAddress(address: string, options: SsrfOptions): string | null {
  const kind = classifyAddress(address);
  if (kind === 'refused') return `${address} is a metadata, link-local, multicast or reserved address, which is never reached`;
  if (kind === 'private' && !options.arePrivateNetworksAllowed) return needsSwitch(address, 'is a private or loopback address');
  return null;
}

function needsSwitch(host: string, why: string): string {
  return `${host} ${why}; set allow_private_networks = true on this server to permit it`;
}

/** What `dns.lookup` does, with `all`. */
export type Resolve = (
  hostname: string,
  options: LookupOptions & { all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * A `lookup` for sockets that resolves, checks every address, and hands on only what it checked, so that a name cannot
 * change its meaning between check and connect (DNS rebinding). One refused address refuses the name. It is asked for
 * every new connection; literals never reach it and need `checkUrl`.
 */
export function guardedLookup(options: SsrfOptions, resolve: Resolve = systemLookup): LookupFunction {
  return (hostname, lookupOptions, callback) => {
    const refusedName = checkHost(hostname, options);
    if (refusedName !== null) return callback(ssrfError(refusedName), '', 0);
    resolve(hostname, { ...lookupOptions, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, '', 0);
      const refused = firstRefused(hostname, addresses, options);
      if (refused !== null) return callback(ssrfError(refused), '', 0);
      if (lookupOptions.all === true) return callback(null, addresses);
      const [first] = addresses;
      if (first !== undefined) callback(null, first.address, first.family);
    });
  };
}

function firstRefused(hostname: string, addresses: readonly LookupAddress[], options: SsrfOptions): string | null {
  if (addresses.length === 0) return `${hostname} has no address`;
  for (const { address } of addresses) {
    const reason = checkAddress(address, options);
    if (reason !== null) return `${hostname} resolves to a refused address: ${reason}`;
  }
  return null;
}

function ssrfError(reason: string): NodeJS.ErrnoException {
  return Object.assign(new Error(reason), { code: SSRF_REFUSED });
}
