import type { ServerSettings, TlsSettings } from '../core/config.ts';

/** What one listening socket needs to know, derived from the server settings. Plain data. */
export interface ListenerSettings {
  readonly engine: 'uws' | 'node';
  readonly entrance: 'main' | 'admin';
  /** Name or address, IPv6 without brackets. */
  readonly host: string;
  /** 0 = pick a free one. */
  readonly port: number;
  /** One process owns the port; otherwise every worker binds it (SO_REUSEPORT). */
  readonly isPortExclusive: boolean;
  readonly tls: TlsSettings | null;
  readonly maxRequestBytes: number;
  /** Sum of header names and values, four bytes of syntax per line included. */
  readonly maxHeadBytes: number;
  readonly maxHeaderLines: number;
  /** `name` (any port) or `name:port`, lower case; null = not checked. */
  readonly allowedHosts: readonly string[] | null;
  /** Serialised origins, lower case; `*` = every one. */
  readonly allowedOrigins: readonly string[];
  readonly areLoopbackOriginsAllowed: boolean;
  readonly chunkedBodies: 'close' | 'refuse';
  /** `GET /ws` may become a WebSocket. */
  readonly isWebSocketEnabled: boolean;
  readonly trustedProxies: readonly string[];
  /** Kept connections of the `node` engine; µWS closes at 10–12 s whatever is said. */
  readonly idleTimeoutMs: number;
  readonly maxConnections: number;
  /** 0 = off. */
  readonly maxConnectionsPerIp: number;
  /**
   * Bytes of a streamed answer that may wait for a slow reader, beside the piece written last, before its connection is
   * dropped. That piece may be of any size, as a whole answer may: the one message that matters is often larger.
   */
  readonly maxBufferedBytes: number;
  /** A reader that takes nothing for this long is dropped. */
  readonly stallMs: number;
}

export interface ListenerOverrides {
  /** The port that the primary picked when 0 was configured. */
  readonly port?: number;
  readonly isPortExclusive?: boolean;
}

const KIB = 1024;
const STALL_MS = 10_000;
const LOOPBACK_HOSTS: readonly string[] = ['localhost', '127.0.0.1', '[::1]'];

/** Whether a configured bind address is reachable from this machine only. */
export function isLoopbackHost(host: string): boolean {
  const bare = unbracket(host);
  return bare === 'localhost' || bare === '::1' || /^127(?:\.\d{1,3}){3}$/.test(bare);
}

/**
 * The settings of the main listener, or of the separate admin one (which must be configured). Both answer to the same
 * Host and Origin lists; an address bound to loopback that names none gets the loopback names (DNS rebinding).
 */
export function listenerSettings(server: ServerSettings, entrance: 'main' | 'admin', overrides: ListenerOverrides = {}): ListenerSettings {
  const address = entrance === 'main' ? server : server.admin.listen;
  if (address === null) throw new Error('No admin listener is configured');
  const isHardened = server.profile === 'hardened';
  return {
    engine: server.tls === null ? server.engine : 'node',
    entrance,
    host: unbracket(address.host),
    port: overrides.port ?? address.port,
    isPortExclusive: overrides.isPortExclusive ?? server.workers === 0,
    tls: server.tls,
    maxRequestBytes: server.maxRequestBytes,
    maxHeadBytes: (isHardened ? 8 : 16) * KIB,
    maxHeaderLines: isHardened ? 64 : 98,
    ...hostRules(server, address.host),
    chunkedBodies: server.chunkedBodies,
    isWebSocketEnabled: server.isWebSocketEnabled && entrance === 'main',
    trustedProxies: server.trustedProxies,
    idleTimeoutMs: server.idleTimeoutMs,
    maxConnections: server.maxConnections,
    maxConnectionsPerIp: server.maxConnectionsPerIp,
    maxBufferedBytes: (isHardened ? 256 : 1024) * KIB,
    stallMs: STALL_MS,
  };
}

type HostRules = Pick<ListenerSettings, 'allowedHosts' | 'allowedOrigins' | 'areLoopbackOriginsAllowed'>;

function hostRules(server: ServerSettings, host: string): HostRules {
  const isLoopback = isLoopbackHost(host);
  const cors = server.cors.isEnabled ? server.cors.allowedOrigins : [];
  return {
    allowedHosts: server.allowedHosts?.map(lowerCase) ?? (isLoopback ? [...LOOPBACK_HOSTS, bracket(host)] : null),
    allowedOrigins: [...(server.allowedOrigins ?? []), ...cors].map(lowerCase),
    areLoopbackOriginsAllowed: isLoopback && server.allowedOrigins === null,
  };
}

function lowerCase(text: string): string {
  return text.toLowerCase();
}

function unbracket(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}

function bracket(host: string): string {
  const bare = unbracket(host).toLowerCase();
  return bare.includes(':') ? `[${bare}]` : bare;
}
