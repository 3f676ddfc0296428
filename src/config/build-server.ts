import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import type { AdminSettings, CorsSettings, PeerSettings, ServerSettings, TlsSettings } from '../core/config.ts';
import { normalizeKeyHash } from './key-hash.ts';
import type { Section } from './section.ts';
import { bareHost, splitAddress } from './syntax.ts';

/** The `server` table as the listeners want it. */
export function buildServer(section: Section, baseDir: string): ServerSettings {
  const tls = buildTls(section.section('tls'), baseDir);
  return {
    host: bareHost(section.text('host')),
    port: section.number('port'),
    engine: tls !== null && !section.isSet('engine') ? 'node' : section.choice('engine', ['uws', 'node']),
    profile: section.choice('profile', ['default', 'hardened']),
    workers: section.maybeNumber('workers') ?? availableParallelism(),
    maxRequestBytes: section.number('max_request_size'),
    allowedHosts: section.maybeList('allowed_hosts')?.map(lowerCase) ?? null,
    allowedOrigins: section.maybeList('allowed_origins')?.map(lowerCase) ?? null,
    cors: buildCors(section.section('cors')),
    tls,
    trustedProxies: section.list('trusted_proxies'),
    drainTimeoutMs: milliseconds(section.number('drain_timeout_secs')),
    drainDelayMs: milliseconds(section.number('drain_delay_secs')),
    idleTimeoutMs: milliseconds(section.number('idle_timeout_secs')),
    maxConnections: section.number('max_connections'),
    maxConnectionsPerIp: section.number('max_connections_per_ip'),
    maxJsonDepth: section.number('max_json_depth'),
    maxJsonKeys: section.number('max_json_keys'),
    isAcceptStrict: section.flag('strict_accept'),
    isWebSocketEnabled: section.section('websocket').flag('enabled'),
    isSseEnabled: section.section('sse').flag('enabled'),
    chunkedBodies: section.choice('chunked_bodies', ['close', 'refuse']),
    admin: buildAdmin(section.section('admin')),
    peers: buildPeers(section),
  };
}

export function milliseconds(secs: number): number {
  return Math.round(secs * 1000);
}

function lowerCase(text: string): string {
  return text.toLowerCase();
}

function buildTls(section: Section, baseDir: string): TlsSettings | null {
  const certPath = section.maybeText('cert_path');
  const keyPath = section.maybeText('key_path');
  if (certPath === null || keyPath === null) return null;
  return {
    certPath: resolve(baseDir, certPath),
    keyPath: resolve(baseDir, keyPath),
    minVersion: section.choice('min_version', ['TLSv1.2', 'TLSv1.3']),
  };
}

function buildPeers(section: Section): PeerSettings | null {
  const [advertised, secret] = [section.maybeText('advertise_address'), section.maybeText('peer_secret')];
  if (advertised === null || secret === null) return null;
  return { advertised: advertised.toLowerCase(), listen: splitAddress(section.maybeText('peer_listen') ?? advertised), secret };
}

function buildCors(section: Section): CorsSettings {
  return {
    isEnabled: section.flag('enabled'),
    allowedOrigins: section.list('allowed_origins').map(lowerCase),
    allowedMethods: section.list('allowed_methods'),
    allowedHeaders: section.list('allowed_headers'),
    maxAgeSecs: section.number('max_age'),
  };
}

function buildAdmin(section: Section): AdminSettings {
  const port = section.maybeNumber('port');
  return {
    listen: port === null ? null : { host: bareHost(section.text('host')), port },
    tokenHashes: section.list('tokens').flatMap((token) => normalizeKeyHash(token) ?? []),
  };
}
