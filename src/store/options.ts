import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import type { ClusterOptions, RedisOptions } from 'ioredis';
import type { RedisSettings } from '../core/config.ts';

/** Replies in the shapes of RESP2, which is what `RedisStore` reads. */
type Plain = { readonly replyMapping: 'legacy' };

const CONNECT_TIMEOUT_MS = 2000;
/** A script takes microseconds: whoever waits longer has long been answered otherwise. */
const COMMAND_TIMEOUT_MS = 1000;
/** A connection on which an answer is due for so long is given up. */
const SILENCE_MS = 1500;
const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 2000;

/** Doubles up to two seconds; half of it is drawn by lot, so that hosts do not all come back at once. */
export function retryMs(times: number, random: () => number = Math.random): number {
  const ms = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(times - 1, 10));
  return Math.round(ms / 2 + (ms / 2) * random());
}

/** Throws when the file of the certificate authority cannot be read. */
export function tlsOptions(settings: RedisSettings): ConnectionOptions | undefined {
  if (settings.tls === null) return undefined;
  const { caPath, isVerified } = settings.tls;
  return { ...(caPath === null ? {} : { ca: readFileSync(caPath) }), rejectUnauthorized: isVerified, minVersion: 'TLSv1.2' };
}

/** What holds for every connection to a node. */
function nodeOptions(settings: RedisSettings): RedisOptions & Plain {
  const tls = tlsOptions(settings);
  return {
    ...(settings.username === null ? {} : { username: settings.username }),
    ...(settings.password === null ? {} : { password: settings.password }),
    ...(tls === undefined ? {} : { tls }),
    protocol: 2,
    replyMapping: 'legacy',
    connectionName: 'mcp-guard',
    disableClientInfo: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: COMMAND_TIMEOUT_MS,
    socketTimeout: SILENCE_MS,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // A node that became a replica: the master has to be looked up anew. The command is not sent again.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
    lazyConnect: true,
  };
}

export function singleOptions(settings: RedisSettings): RedisOptions & Plain {
  const [node] = settings.nodes;
  if (node === undefined) throw new RangeError('a store needs an address');
  return { ...nodeOptions(settings), host: node.host, port: node.port, db: settings.database, retryStrategy: retry };
}

/** User and password are those of the nodes; Sentinels are asked without. */
export function sentinelOptions(settings: RedisSettings): RedisOptions & Plain {
  const node = nodeOptions(settings);
  return {
    ...node,
    ...(node.tls === undefined ? {} : { sentinelTLS: node.tls, enableTLSForSentinelMode: true }),
    sentinels: settings.nodes.map(({ host, port }) => ({ host, port })),
    name: settings.sentinelName ?? '',
    role: 'master',
    db: settings.database,
    // Hears of a failover from the Sentinels instead of waiting until the old master's connection dies.
    failoverDetector: true,
    sentinelCommandTimeout: COMMAND_TIMEOUT_MS,
    sentinelRetryStrategy: retry,
    sentinelReconnectStrategy: retry,
    retryStrategy: retry,
  };
}

export function clusterOptions(settings: RedisSettings): ClusterOptions & { readonly redisOptions: RedisOptions & Plain } {
  return {
    // Without a queue no command waits for a node; those on the way when one goes fail and are not sent again.
    enableOfflineQueue: false,
    clusterRetryStrategy: retry,
    clusterNodeRetryStrategy: retry,
    maxRedirections: 3,
    slotsRefreshTimeout: COMMAND_TIMEOUT_MS,
    slotsRefreshInterval: 2000,
    lazyConnect: true,
    redisOptions: nodeOptions(settings),
  };
}

function retry(times: number): number {
  return retryMs(times);
}
