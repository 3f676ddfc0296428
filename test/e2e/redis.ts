/** Real Redis for tests: one node, with TLS, a Cluster of three, a master and replica behind Sentinels. Ended with the test file. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll } from 'vitest';
import type { RedisSettings } from '../../src/core/config.ts';
import { cleanEnv, runProgram, tempDir } from './cli.ts';
import { waitUntil } from './wait.ts';

const run = promisify(execFile);
const children = new Set<ChildProcess>();

afterAll(async () => {
  await Promise.all([...children].map(end));
});

async function end(child: ChildProcess): Promise<void> {
  children.delete(child);
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** A port that was free a moment ago, on loopback. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

export interface RedisNode {
  readonly host: '127.0.0.1';
  readonly port: number;
  /** `redis-cli`, its standard output trimmed. */
  cli(...words: readonly string[]): Promise<string>;
  /** Stops the process without ending it, and lets it go on. */
  hang(): void;
  resume(): void;
  /** At once, as by a power cut. */
  kill(): Promise<void>;
  /** On the same port, empty. */
  restart(): Promise<void>;
}

interface NodeOptions {
  readonly args?: readonly string[];
  /** What `redis-cli` needs to get in. */
  readonly cliArgs?: readonly string[];
  /** A file of settings, which Sentinels need and rewrite. */
  readonly settings?: string;
}

const PLAIN = ['--save', '', '--appendonly', 'no', '--bind', '127.0.0.1', '--daemonize', 'no'];

/** One Redis on a port of its own. */
export async function startRedis(options: NodeOptions = {}): Promise<RedisNode> {
  const port = await freePort();
  const dir = await tempDir();
  const access = options.cliArgs ?? ['-p', String(port)];
  const words = options.args ?? ['--port', String(port)];
  let child = launch();

  function launch(): ChildProcess {
    const sentinel = options.settings === undefined ? [] : [join(dir, 'sentinel.conf'), '--sentinel', '--port', String(port)];
    if (options.settings !== undefined) writeFileSync(join(dir, 'sentinel.conf'), options.settings);
    const common = options.settings === undefined ? PLAIN : ['--bind', '127.0.0.1'];
    const args = [...sentinel, ...common, '--dir', dir, ...(options.settings === undefined ? words : [])];
    const started = spawn(
      'redis-server',
      args.map((word) => word.replaceAll('PORT', String(port))),
      { env: cleanEnv(), stdio: 'ignore' },
    );
    children.add(started);
    return started;
  }

  async function cli(...args: readonly string[]): Promise<string> {
    const all = [...access.map((word) => word.replaceAll('PORT', String(port))), ...args];
    return (await run('redis-cli', all, { env: cleanEnv(), timeout: 10_000 })).stdout.trim();
  }

  async function ready(): Promise<void> {
    const answers = async (): Promise<boolean> => (await cli('ping').catch(() => '')) === 'PONG';
    await waitUntil(answers, { what: `redis on port ${port}`, timeoutMs: 20_000 });
  }

  await ready();
  return {
    host: '127.0.0.1',
    port,
    cli,
    hang: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    kill: async () => await end(child),
    restart: async () => {
      await end(child);
      child = launch();
      await ready();
    },
  };
}

/** As if this Redis had been used for long: buckets that it does not know are full, because they have expired. */
export async function beginEpochsLongAgo(node: RedisNode): Promise<void> {
  const epochs = Array.from({ length: 64 }, (_, tag) => `mcp-guard:{mg-${String(tag).padStart(2, '0')}}:epoch`);
  await node.cli('mset', ...epochs.flatMap((name) => [name, '1000000']));
}

/** Settings of a store on these nodes, as the configuration would have them. */
export function redisSettings(
  nodes: readonly { readonly host: string; readonly port: number }[],
  more: Partial<RedisSettings> = {},
): RedisSettings {
  return {
    mode: 'single',
    nodes: nodes.map(({ host, port }) => ({ host, port })),
    sentinelName: null,
    username: null,
    password: null,
    database: 0,
    prefix: 'mcp-guard:',
    tls: null,
    maxHosts: 2,
    ...more,
  };
}

/** A certificate authority of our own, and a certificate for 127.0.0.1 that it signed. */
export async function makeAuthority(): Promise<{ readonly ca: string; readonly cert: string; readonly key: string }> {
  const dir = await tempDir();
  const openssl = async (words: string): Promise<void> => {
    const { code, stderr } = await runProgram('openssl', words.split(' '), { cwd: dir });
    if (code !== 0) throw new Error(stderr);
  };
  const ec = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';
  await openssl(`req -x509 ${ec} -days 2 -keyout ca.key -out ca.crt -subj /CN=authority`);
  await openssl(`req ${ec} -keyout node.key -out node.csr -subj /CN=node`);
  writeFileSync(join(dir, 'names'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  await openssl('x509 -req -in node.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out node.crt -extfile names');
  return { ca: join(dir, 'ca.crt'), cert: join(dir, 'node.crt'), key: join(dir, 'node.key') };
}

/** Redis that speaks TLS only, with a password. */
export async function startTlsRedis(password: string): Promise<{ readonly node: RedisNode; readonly ca: string }> {
  const { ca, cert, key } = await makeAuthority();
  const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', ca, '--tls-auth-clients', 'no'];
  const node = await startRedis({
    args: ['--port', '0', '--tls-port', 'PORT', ...files, '--requirepass', password],
    cliArgs: ['-p', 'PORT', '--tls', '--cacert', ca, '-a', password, '--no-auth-warning'],
  });
  return { node, ca };
}

/** Three masters that share the slots. */
export async function startCluster(): Promise<readonly RedisNode[]> {
  const nodes = await Promise.all(Array.from({ length: 3 }, async () => await startClusterNode()));
  const addresses = nodes.map(({ host, port }) => `${host}:${port}`);
  await run('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-yes'], { env: cleanEnv(), timeout: 60_000 });
  const isUp = async (): Promise<boolean> => {
    const infos = await Promise.all(nodes.map(async (node) => await node.cli('cluster', 'info')));
    return infos.every((info) => info.includes('cluster_state:ok'));
  };
  await waitUntil(isUp, { what: 'the cluster', timeoutMs: 30_000 });
  return nodes;
}

async function startClusterNode(): Promise<RedisNode> {
  const bus = String(await freePort());
  const timing = ['--cluster-node-timeout', '2000', '--cluster-require-full-coverage', 'no'];
  return await startRedis({ args: ['--port', 'PORT', '--cluster-enabled', 'yes', '--cluster-port', bus, ...timing] });
}

/** One node that looks like any other, but takes no call whose keys lie in different slots, as proxies in front of several do. */
export async function startSplitNode(): Promise<RedisNode> {
  const node = await startClusterNode();
  await node.cli('cluster', 'addslotsrange', '0', '16383');
  await waitUntil(async () => (await node.cli('cluster', 'info')).includes('cluster_state:ok'), { what: 'the node', timeoutMs: 30_000 });
  return node;
}

export interface SentinelSet {
  readonly name: string;
  readonly master: RedisNode;
  readonly replica: RedisNode;
  readonly sentinels: readonly RedisNode[];
}

/** A master, its replica, and three Sentinels that need a second to notice that the master is gone. */
export async function startSentinels(): Promise<SentinelSet> {
  const name = 'limits';
  const master = await startRedis();
  const replica = await startRedis({ args: ['--port', 'PORT', '--replicaof', `127.0.0.1 ${master.port}`] });
  const isLinked = async (): Promise<boolean> => (await replica.cli('info', 'replication')).includes('master_link_status:up');
  await waitUntil(isLinked, { what: 'the replica', timeoutMs: 20_000 });
  const watch = [
    `sentinel monitor ${name} 127.0.0.1 ${master.port} 2`,
    `sentinel down-after-milliseconds ${name} 1000`,
    `sentinel failover-timeout ${name} 5000`,
  ];
  const sentinels = await Promise.all(Array.from({ length: 3 }, async () => await startRedis({ settings: `${watch.join('\n')}\n` })));
  const sees = async (sentinel: RedisNode): Promise<boolean> => {
    const seen = await sentinel.cli('sentinel', 'master', name);
    return /num-slaves\n1\n/.test(seen) && /num-other-sentinels\n2\n/.test(seen);
  };
  for (const sentinel of sentinels) await waitUntil(async () => await sees(sentinel), { what: 'a sentinel', timeoutMs: 20_000 });
  return { name, master, replica, sentinels };
}
