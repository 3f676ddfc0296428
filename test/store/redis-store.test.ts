import { connect, createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import type { RedisSettings } from '../../src/core/config.ts';
import type { StoreScript, StoreState } from '../../src/core/store.ts';
import { RedisStore } from '../../src/store/redis-store.ts';
import { redisSettings, startCluster, startRedis, startSentinels, startTlsRedis } from '../e2e/redis.ts';
import { sleep, waitUntil } from '../e2e/wait.ts';

const ADD: StoreScript = { name: 'add', lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])" };
const ECHO: StoreScript = { name: 'echo', lua: "return { KEYS[1], ARGV[1], 7, { 'inner' } }" };
const SLOW: StoreScript = { name: 'slow', lua: 'while true do end' };
const FAIL: StoreScript = { name: 'fail', lua: "return redis.error_reply('WRONG secret-in-the-answer')" };

const opened: RedisStore[] = [];
const servers: Server[] = [];

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  for (const server of servers.splice(0)) server.close();
});

function open(settings: RedisSettings, states: StoreState[] = []): RedisStore {
  const store = new RedisStore(settings, (state) => states.push(state));
  opened.push(store);
  return store;
}

async function ready(store: RedisStore): Promise<void> {
  await waitUntil(() => store.state === 'ready', { what: 'the store', timeoutMs: 15_000 });
}

/** What happened to a call, and how long it took. */
async function outcome(work: Promise<unknown>): Promise<{ value: unknown; error: string | null; ms: number }> {
  const startMs = performance.now();
  try {
    return { value: await work, error: null, ms: performance.now() - startMs };
  } catch (error) {
    return { value: null, error: String(error), ms: performance.now() - startMs };
  }
}

describe('a store on one Redis', () => {
  it('runs scripts, and again after Redis has forgotten them', async () => {
    const redis = await startRedis();
    const store = open(redisSettings([redis]));
    await ready(store);
    expect(await store.run(ECHO, ['{a}:1'], ['x'])).toEqual(['{a}:1', 'x', 7, ['inner']]);
    expect(await store.run(ADD, ['{a}:2'], [2])).toBe(2);
    await redis.cli('script', 'flush');
    const sums = await Promise.all([1, 1, 1].map(async (one) => await store.run(ADD, ['{a}:2'], [one])));
    expect(sums).toEqual([3, 4, 5]);
  });

  it('fails at once while there is no connection, and works again when there is', async () => {
    const redis = await startRedis();
    const states: StoreState[] = [];
    const store = open(redisSettings([redis]), states);
    expect((await outcome(store.run(ADD, ['{a}:n'], [1]))).error).toMatch(/store is lost/);
    await ready(store);
    await redis.kill();
    await waitUntil(() => store.state === 'lost', { what: 'the loss' });
    const { error, ms } = await outcome(store.run(ADD, ['{a}:n'], [1]));
    expect(error).toMatch(/store is lost/);
    expect(ms).toBeLessThan(20);
    await redis.restart();
    await ready(store);
    expect(await store.run(ADD, ['{a}:n'], [1])).toBe(1);
    expect(states).toEqual(['ready', 'lost', 'ready']);
  });

  it('gives up a Redis that hangs, and sends nothing twice when it goes on', async () => {
    const redis = await startRedis();
    const store = open(redisSettings([redis]));
    await ready(store);
    await store.run(ADD, ['{a}:n'], [1]);
    redis.hang();
    const { error, ms } = await outcome(store.run(ADD, ['{a}:n'], [1]));
    expect(error).toMatch(/timeout|no answer/);
    expect(ms).toBeLessThan(4000);
    await waitUntil(() => store.state === 'lost', { what: 'the loss' });
    redis.resume();
    await ready(store);
    await sleep(300);
    expect(Number(await redis.cli('get', '{a}:n'))).toBeLessThanOrEqual(2);
  });

  it('fails what the script refuses, and names neither answer nor argument', async () => {
    const redis = await startRedis();
    const store = open(redisSettings([redis]));
    await ready(store);
    const { error } = await outcome(store.run(FAIL, ['{a}:n'], ['credential']));
    expect(error).toBe('Error: WRONG');
    expect(await store.run(ADD, ['{a}:n'], [1])).toBe(1);
  });

  it('survives a Redis that is busy with an endless script', async () => {
    const redis = await startRedis({ args: ['--port', 'PORT', '--busy-reply-threshold', '100'] });
    const store = open(redisSettings([redis]));
    await ready(store);
    const first = outcome(store.run(SLOW, ['{a}:n'], []));
    expect((await first).error).not.toBeNull();
    await waitUntil(async () => (await redis.cli('script', 'kill').catch(() => '')) === 'OK', { what: 'the end of the script' });
    await ready(store);
    await waitUntil(async () => (await outcome(store.run(ADD, ['{a}:n'], [1]))).error === null, { what: 'an answer' });
    expect(store.state).toBe('ready');
  });

  it('says what is wrong with its credentials without naming them', async () => {
    const redis = await startRedis({
      args: ['--port', 'PORT', '--requirepass', 'right'],
      cliArgs: ['-p', 'PORT', '-a', 'right', '--no-auth-warning'],
    });
    const store = open(redisSettings([redis], { password: 'wrong-password' }));
    const refusal = async (): Promise<string> => (await outcome(store.run(ADD, ['{a}:n'], [1]))).error ?? '';
    await waitUntil(async () => /WRONGPASS|NOAUTH/.test(await refusal()), { what: 'the reason' });
    expect(await refusal()).not.toContain('wrong-password');
    const allowed = open(redisSettings([redis], { password: 'right', database: 3 }));
    await ready(allowed);
    expect(await allowed.run(ADD, ['{a}:n'], [1])).toBe(1);
    expect(await redis.cli('-n', '3', 'get', '{a}:n')).toBe('1');
  });

  it('does not answer when closed, nor come back', async () => {
    const redis = await startRedis();
    const store = open(redisSettings([redis]));
    await ready(store);
    await store.close();
    expect((await outcome(store.run(ADD, ['{a}:n'], [1]))).error).toMatch(/store is closed/);
    await sleep(200);
    expect(store.state).toBe('closed');
  });

  it('is not impressed by a peer that answers garbage', async () => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('data', () => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'));
    }).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const store = open(redisSettings([{ host: '127.0.0.1', port }]));
    await waitUntil(() => sockets.size > 1, { what: 'a second try' });
    expect((await outcome(store.run(ADD, ['{a}:n'], [1]))).error).not.toBeNull();
    for (const socket of sockets) socket.destroy();
  });
});

describe('a store with TLS', () => {
  it('trusts the configured authority and nobody else', async () => {
    const { node, ca } = await startTlsRedis('s3cret');
    const trusting = open(redisSettings([node], { password: 's3cret', tls: { caPath: ca, isVerified: true } }));
    await ready(trusting);
    expect(await trusting.run(ADD, ['{a}:n'], [1])).toBe(1);
    const doubting = open(redisSettings([node], { password: 's3cret', tls: { caPath: null, isVerified: true } }));
    const blind = open(redisSettings([node], { password: 's3cret', tls: { caPath: null, isVerified: false } }));
    const plain = open(redisSettings([node], { password: 's3cret' }));
    await ready(blind);
    await sleep(300);
    expect([doubting.state, plain.state]).toEqual(['lost', 'lost']);
    expect((await outcome(doubting.run(ADD, ['{a}:n'], [1]))).error).toMatch(/SELF_SIGNED|UNABLE_TO/);
  });

  it('does not open when the authority cannot be read', () => {
    expect(
      () => new RedisStore(redisSettings([{ host: '127.0.0.1', port: 1 }], { tls: { caPath: '/nonexistent', isVerified: true } })),
    ).toThrow(/ENOENT/);
  });
});

describe('a store on a Cluster of three', () => {
  it('reaches all slots, and loses only those of a node that dies', async () => {
    const nodes = await startCluster();
    const store = open(redisSettings(nodes.slice(0, 1), { mode: 'cluster' }));
    await ready(store);
    const keys = Array.from({ length: 64 }, (_, tag) => `{mg-${String(tag).padStart(2, '0')}}:n`);
    const add = async (key: string): Promise<string | null> => (await outcome(store.run(ADD, [key], [1]))).error;
    expect(await Promise.all(keys.map(add))).toEqual(keys.map(() => null));
    const sizes = await Promise.all(nodes.map(async (node) => Number(await node.cli('dbsize'))));
    expect(Math.min(...sizes)).toBeGreaterThan(5);
    await nodes[2]?.kill();
    await sleep(500);
    const errors = await Promise.all(keys.map(add));
    expect(errors.filter((error) => error === null).length).toBe((sizes[0] ?? 0) + (sizes[1] ?? 0));
  });
});

interface Door {
  readonly port: number;
  /** What came from the Sentinel, as text. */
  heard: string;
  /** Whether new connections are let through; otherwise they are accepted, and nothing answers. */
  isOpen: boolean;
  /** Connections that nothing answers. */
  waiting: number;
}

/** A way to a Sentinel on which connections stay, and to which new ones may be shut. */
async function doorTo(targetPort: number): Promise<Door> {
  const server = createServer((client) => {
    client.on('error', () => undefined);
    if (!door.isOpen) {
      door.waiting++;
      return;
    }
    const target = connect(targetPort, '127.0.0.1');
    target.on('error', () => undefined);
    target.on('data', (data) => (door.heard += data.toString('latin1')));
    client.pipe(target).pipe(client);
  }).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const door: Door = { port: address.port, heard: '', isOpen: true, waiting: 0 };
  return door;
}

describe('a store behind Sentinels', () => {
  it('comes back when it hears of the failover while it looks the master up', async () => {
    const { name, master, replica, sentinels } = await startSentinels();
    const [sentinel] = sentinels;
    if (sentinel === undefined) throw new Error('no Sentinel');
    const door = await doorTo(sentinel.port);
    const store = open(redisSettings([{ host: '127.0.0.1', port: door.port }], { mode: 'sentinel', sentinelName: name }));
    await ready(store);
    await waitUntil(() => door.heard.includes('subscribe'), { what: 'the subscription', timeoutMs: 15_000 });
    door.isOpen = false;
    await master.kill();
    await waitUntil(() => door.waiting > 0, { what: 'a lookup', timeoutMs: 15_000 });
    await waitUntil(() => door.heard.includes('+switch-master'), { what: 'failover', timeoutMs: 25_000 });
    const before = door.waiting;
    await waitUntil(() => door.waiting > before, { what: 'another lookup', timeoutMs: 15_000 });
    door.isOpen = true;
    await ready(store);
    expect(await store.run(ADD, ['{a}:n'], [5])).toBe(5);
    expect(await replica.cli('get', '{a}:n')).toBe('5');
  });

  it('follows the master to another node', async () => {
    const { name, master, replica, sentinels } = await startSentinels();
    const store = open(redisSettings(sentinels, { mode: 'sentinel', sentinelName: name }));
    await ready(store);
    expect(await store.run(ADD, ['{a}:n'], [5])).toBe(5);
    await waitUntil(async () => (await replica.cli('get', '{a}:n')) === '5', { what: 'replication' });
    await master.kill();
    await waitUntil(async () => (await outcome(store.run(ADD, ['{a}:n'], [1]))).error === null, { what: 'failover', timeoutMs: 25_000 });
    expect(Number(await replica.cli('get', '{a}:n'))).toBeGreaterThanOrEqual(6);
    expect((await replica.cli('info', 'replication')).includes('role:master')).toBe(true);
  });
});
