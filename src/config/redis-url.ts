import type { RedisSettings } from '../core/config.ts';
import { bareHost, checkHost } from './syntax.ts';

/** What a URL says of a store. */
export type RedisAddress = Pick<RedisSettings, 'mode' | 'nodes' | 'sentinelName' | 'username' | 'password' | 'database'> & {
  readonly isEncrypted: boolean;
};

const DEFAULT_PORT = { single: 6379, cluster: 6379, sentinel: 26_379 } as const;
const MAX_NODES = 64;
const SHAPE = /^(?:(rediss?)(?:\+(sentinel|cluster))?:\/\/)?(?:([^/@]*)@)?([^/@]+)((?:\/[^/]+)*\/?)$/;
const MASTER_NAME = /^[A-Za-z0-9._-]{1,128}$/;

/**
 * Reads `redis://[user:password@]host[:port][/database]`, `redis+sentinel://…@host:port,host:port/master[/database]`,
 * `redis+cluster://…@host:port,host:port` (with `rediss` for TLS) or bare `host:port[,host:port]`, where several are a Cluster. What is
 * wrong is said without quoting: the text may hold a password.
 */
export function parseRedisUrl(text: string): RedisAddress | { readonly fault: string } {
  if (/[\s?#\\]/.test(text)) return { fault: 'must not contain spaces, "?" or "#": in a password write %20, %3F, %23' };
  const match = SHAPE.exec(text);
  if (match === null) {
    return { fault: 'must be redis://host:port, rediss://…, redis+sentinel://host:port,…/master, redis+cluster://… or host:port,…' };
  }
  const [, scheme = 'redis', family, access = '', hosts = '', path = ''] = match;
  const mode = modeOf(family, hosts);
  const nodes = hosts.split(',').map((host) => parseNode(host, DEFAULT_PORT[mode]));
  if (nodes.length > MAX_NODES) return { fault: `must name at most ${MAX_NODES} nodes` };
  if (mode === 'single' && nodes.length > 1) return { fault: 'must name one node, or be redis+cluster:// or redis+sentinel://' };
  const good = nodes.filter((node) => node !== null);
  if (good.length < nodes.length) return { fault: 'must name each node as host or host:port' };
  const credentials = parseAccess(access);
  if (credentials === null) return { fault: 'must have user and password percent-encoded' };
  const place = parsePath(mode, path);
  if ('fault' in place) return place;
  return { mode, nodes: good, ...credentials, ...place, isEncrypted: scheme === 'rediss' };
}

/** For the schema table. */
export function checkRedisUrl(text: string): string | null {
  const parsed = parseRedisUrl(text);
  return 'fault' in parsed ? parsed.fault : null;
}

function modeOf(family: string | undefined, hosts: string): RedisSettings['mode'] {
  if (family === 'sentinel' || family === 'cluster') return family;
  return hosts.includes(',') ? 'cluster' : 'single';
}

function parseNode(text: string, defaultPort: number): { host: string; port: number } | null {
  const match = /^(\[[0-9A-Fa-f:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text);
  if (match?.[1] === undefined || checkHost(match[1]) !== null) return null;
  const port = match[2] === undefined ? defaultPort : Number(match[2]);
  return port >= 1 && port <= 65_535 ? { host: bareHost(match[1]), port } : null;
}

function parseAccess(text: string): Pick<RedisAddress, 'username' | 'password'> | null {
  const colon = text.indexOf(':');
  const [user, password] = colon < 0 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)];
  try {
    return { username: decodeURIComponent(user) || null, password: decodeURIComponent(password) || null };
  } catch {
    return null;
  }
}

type Place = Pick<RedisAddress, 'sentinelName' | 'database'>;

function parsePath(mode: RedisSettings['mode'], path: string): Place | { readonly fault: string } {
  const parts = path.split('/').slice(1);
  if (parts.at(-1) === '') parts.pop();
  if (mode === 'cluster')
    return parts.length === 0 ? { sentinelName: null, database: 0 } : { fault: 'must not name a database: a Cluster has one' };
  const name = mode === 'sentinel' ? (parts.shift() ?? '') : null;
  if (name !== null && !MASTER_NAME.test(name))
    return { fault: 'must name the master behind the Sentinels: redis+sentinel://host:port/master' };
  const [database = '0', ...rest] = parts;
  if (rest.length > 0 || !/^\d{1,4}$/.test(database)) return { fault: 'must have the number of a database behind the last "/"' };
  return { sentinelName: name, database: Number(database) };
}
