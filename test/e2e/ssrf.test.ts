import { readFile, rename, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import {
  http,
  keyEntry,
  makeKey,
  rpc,
  runCli,
  startGateway,
  startHttpUpstream,
  tempDir,
  toolCall,
  waitUntil,
  type CliResult,
  type Gateway,
  type HttpAnswer,
} from './harness.ts';

const KEY = makeKey();
const ADMIN = makeKey();
const auth = { api_keys: [keyEntry('alice', KEY), keyEntry('root', ADMIN, { roles: ['admin'] })] };
const rate_limit = { enabled: false };

const METADATA: readonly string[] = [
  'http://169.254.169.254/latest/meta-data',
  'http://169.254.169.254.:80/',
  'http://2852039166/',
  'http://0xa9fea9fe/',
  'http://0xA9.0xFE.0xA9.0xFE/',
  'http://0251.0376.0251.0376/',
  'http://169.254.43518/',
  'http://①⑥⑨.254.169.254/',
  'http://169。254。169。254/',
  'http://169.254.170.2/v2/credentials',
  'http://[::ffff:169.254.169.254]/',
  'http://[::ffff:a9fe:a9fe]/',
  'http://[::169.254.169.254]/',
  'http://[64:ff9b::169.254.169.254]/',
  'http://[64:ff9b:1::a9fe:a9fe]/',
  'http://[2002:a9fe:a9fe::]/',
  'http://[2001:0:4136:e378:8000:63bf:5601:5601]/',
  'http://[fd00:ec2::254]/',
  'http://[fe80::1]/',
  'http://100.100.100.200/',
  'http://192.0.0.192/',
  'http://168.63.129.16/',
  'http://metadata/',
  'http://METADATA.google.internal./computeMetadata/v1/',
  'http://metadata.google.internal../',
  'http://metadata.goog/',
  'http://instance-data.ec2.internal/',
  'https://169.254.169.254/',
];

const PRIVATE: readonly string[] = [
  'http://127.0.0.1:3001/mcp',
  'http://127.1/',
  'http://2130706433/',
  'http://0x7f000001/',
  'http://0177.0.0.1/',
  'http://localhost:8080/',
  'http://LOCALHOST./',
  'http://api.localhost/',
  'http://0.0.0.0/',
  'http://0/',
  'http://[::]/',
  'http://[::1]/',
  'http://[::ffff:127.0.0.1]/',
  'http://[::ffff:7f00:1]/',
  'http://[64:ff9b::10.0.0.1]/',
  'http://10.0.0.1/',
  'http://172.16.0.1/',
  'http://172.31.255.255/',
  'http://192.168.1.1/',
  'http://100.64.0.1/',
  'http://[fc00::1]/',
  'http://[fd12:3456::1]/',
];

const PUBLIC: readonly string[] = [
  'https://mcp.example.com/mcp',
  'http://93.184.216.34/',
  'http://172.32.0.1/',
  'http://[2606:4700::1111]/',
];

const NO_URL: readonly string[] = [
  'ftp://example.com/',
  'file:///etc/passwd',
  'gopher://example.com/',
  'unix:/run/docker.sock',
  'http://user:hunter2@example.com/',
  'example.com/mcp',
  'http://',
];

function serversFor(urls: readonly string[], isSwitchOn: boolean): readonly Record<string, unknown>[] {
  return urls.map((url, index) => ({ name: `s${index}`, transport: 'http', url, allow_private_networks: isSwitchOn }));
}

async function cli(command: string, upstream: unknown, env: Readonly<Record<string, string>> = {}): Promise<CliResult> {
  const cwd = await tempDir();
  await writeFile(join(cwd, 'c.json'), JSON.stringify({ auth, upstream }));
  return await runCli([command, '-c', 'c.json'], { cwd, env });
}

/** The problem of each server, in order; empty for none. */
function problemsOf({ stderr }: CliResult, count: number): string[] {
  return Array.from(
    { length: count },
    (_, index) => stderr.split('\n').find((line) => line.includes(`upstream.servers[${index}].url`)) ?? '',
  );
}

describe('URLs in the configuration', () => {
  it.each([false, true])('row 166: metadata services are refused in every notation (allow_private_networks = %s)', async (isSwitchOn) => {
    const outcome = await cli('validate', { servers: serversFor(METADATA, isSwitchOn) });
    expect(outcome.code).toBe(1);
    for (const [index, problem] of problemsOf(outcome, METADATA.length).entries()) {
      expect([METADATA[index], problem]).toEqual([METADATA[index], expect.stringMatching(/never reached/)]);
      expect(problem).not.toContain('allow_private_networks');
    }
  });

  it('row 166: private and loopback addresses need allow_private_networks, and the error names it', async () => {
    const without = await cli('validate', { servers: serversFor(PRIVATE, false) });
    expect(without.code).toBe(1);
    for (const [index, problem] of problemsOf(without, PRIVATE.length).entries()) {
      expect([PRIVATE[index], problem]).toEqual([PRIVATE[index], expect.stringContaining('allow_private_networks = true')]);
    }
    expect((await cli('validate', { servers: serversFor(PRIVATE, true) })).code).toBe(0);
  });

  it('row 166: the switch of one server does not open another', async () => {
    const servers = [...serversFor(['http://10.0.0.1/'], true), { name: 'other', transport: 'http', url: 'http://10.0.0.2/' }];
    const outcome = await cli('validate', { servers });
    expect(outcome.code).toBe(1);
    expect(problemsOf(outcome, 2)).toEqual(['', expect.stringContaining('allow_private_networks')]);
  });

  it('row 166: public addresses need nothing', async () => {
    expect((await cli('validate', { servers: serversFor(PUBLIC, false) })).code).toBe(0);
  });

  it('row 166: only http and https, without credentials, which are not repeated', async () => {
    const outcome = await cli('validate', { servers: serversFor(NO_URL, true) });
    expect(outcome.code).toBe(1);
    for (const [index, problem] of problemsOf(outcome, NO_URL.length).entries())
      expect([NO_URL[index], problem]).not.toEqual([NO_URL[index], '']);
    expect(outcome.stderr).not.toContain('hunter2');
  });

  it.each(['validate', 'run', 'check-upstream'])(
    'row 167: %s asks the same guard, in the form with one server and for a URL from the environment',
    async (command) => {
      const single = await cli(command, { transport: 'http', url: 'http://0xa9fea9fe/', allow_private_networks: true });
      expect([single.code, single.stderr]).toEqual([1, expect.stringMatching(/upstream\.url.*never reached/)]);
      const loopback = await cli(command, { transport: 'http', url: 'http://127.0.0.1:1/' });
      expect([loopback.code, loopback.stderr]).toEqual([1, expect.stringMatching(/upstream\.url.*allow_private_networks/)]);
      const referred = await cli(command, { transport: 'http', url: '${TARGET}' }, { TARGET: 'http://169.254.169.254/' });
      expect([referred.code, referred.stderr]).toEqual([1, expect.stringContaining('never reached')]);
      const overridden = await cli(
        command,
        { transport: 'http', url: 'https://example.com/' },
        { MCP_GUARD_UPSTREAM_URL: 'http://[::1]/' },
      );
      expect([overridden.code, overridden.stderr]).toEqual([1, expect.stringContaining('allow_private_networks')]);
    },
  );
});

const PRELOAD = pathToFileURL(join(import.meta.dirname, 'fixtures', 'own-dns.mjs')).href;
const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

interface Host {
  readonly server: Server;
  readonly port: number;
  readonly calls: () => number;
  readonly connections: () => number;
}

/** A small MCP server at one of the loopback addresses. */
async function startHost(address: string, port: number): Promise<Host> {
  let calls = 0;
  let connections = 0;
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      const message = JSON.parse(body) as { id?: unknown; method: string };
      if (message.id === undefined) return void response.writeHead(202).end();
      if (message.method === 'tools/call') calls += 1;
      const handshake = { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: address, version: '1' } };
      const result = message.method === 'initialize' ? handshake : { content: [{ type: 'text', text: address }] };
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id: message.id, result }));
    });
  });
  server.on('connection', () => (connections += 1));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(port, address, resolve));
  return { server, port: (server.address() as AddressInfo).port, calls: () => calls, connections: () => connections };
}

const FIRST = '93.184.216.34';
const SECOND = '93.184.216.35';

/** A gateway in a small internet: `upstream.test` means what the test says, and public addresses lead to hosts of the test. */
class World {
  readonly file: string;
  #state: Record<string, unknown> = {};

  constructor(dir: string) {
    this.file = join(dir, 'world.json');
  }

  get env(): Record<string, string> {
    return { NODE_OPTIONS: `--import=${PRELOAD}`, OWN_DNS_FILE: this.file };
  }

  async set(changes: Readonly<Record<string, unknown>>): Promise<void> {
    this.#state = { ...this.#state, ...changes };
    await writeFile(`${this.file}.next`, JSON.stringify(this.#state));
    await rename(`${this.file}.next`, this.file);
  }

  async means(...addresses: readonly string[]): Promise<void> {
    await this.set({ names: { 'upstream.test': addresses } });
  }

  /** Addresses that the gateway decided to connect to. */
  async connected(): Promise<readonly string[]> {
    const log = await readFile(`${this.file}.log`, 'utf8').catch(() => '');
    return log.split('\n').flatMap((line) => (line.startsWith('connect ') ? [line.slice('connect '.length)] : []));
  }
}

async function newWorld(): Promise<World> {
  const world = new World(await tempDir());
  await world.set({ internet: { [FIRST]: '127.0.0.7', [SECOND]: '127.0.0.8' } });
  return world;
}

async function startIn(world: World, port: number, extra: Readonly<Record<string, unknown>> = {}): Promise<Gateway> {
  const upstream = { transport: 'http', url: `http://upstream.test:${port}/mcp`, ...extra };
  return await startGateway({ config: { auth, rate_limit, upstream }, env: world.env, isReadyAwaited: false });
}

async function call(gateway: Gateway): Promise<HttpAnswer> {
  return await rpc(gateway.mcp, toolCall('echo'), { key: KEY.key });
}

async function route(gateway: Gateway): Promise<{ readonly health: string; readonly detail: string | null }> {
  const { json } = await http('GET', `${gateway.url}/routes`, { key: ADMIN.key });
  return json?.['routes']?.[0] as unknown as { health: string; detail: string | null };
}

async function isServed(gateway: Gateway, by: Host): Promise<boolean> {
  const before = by.calls();
  return (await call(gateway)).status === 200 && by.calls() === before + 1;
}

describe('a name that changes its meaning', () => {
  it('row 168: a rebinding server cannot switch to 127.0.0.1 after the check; a real change is followed', async () => {
    const world = await newWorld();
    const first = await startHost('127.0.0.7', 0);
    const victim = await startHost('127.0.0.1', first.port);
    const second = await startHost('127.0.0.8', first.port);
    await world.means(FIRST);
    const gateway = await startIn(world, first.port);
    await waitUntil(async () => await isServed(gateway, first), { what: 'the first host serves' });

    // Every name lookup now says 127.0.0.1, and the old connections break: a new one is refused, whatever is tried.
    await world.means('127.0.0.1');
    expect(await isServed(gateway, first)).toBe(true);
    first.server.closeAllConnections();
    await waitUntil(async () => (await route(gateway)).health === 'down', { what: 'the upstream is down' });
    await waitUntil(async () => /refused address/.test((await route(gateway)).detail ?? ''), { what: 'the detail says why' });
    expect((await route(gateway)).detail).toContain('allow_private_networks');
    for (let attempt = 0; attempt < 5; attempt++) {
      const answer = await call(gateway);
      expect(answer.status).toBe(503);
      expect(answer.body).not.toMatch(/127\.0\.0\.1|upstream\.test/);
    }
    await world.means(SECOND, '127.0.0.1');
    await waitUntil(async () => /127\.0\.0\.1 is a private/.test((await route(gateway)).detail ?? ''), {
      what: 'one bad address is enough',
      timeoutMs: 10_000,
    });
    expect(victim.connections()).toBe(0);

    await world.means(SECOND);
    await waitUntil(async () => await isServed(gateway, second), { what: 'the second host serves', timeoutMs: 10_000 });
    expect(new Set(await world.connected())).toEqual(new Set([FIRST, SECOND]));
    expect(victim.connections()).toBe(0);
    await gateway.stop();
  });

  it('row 168: a change is picked up in time even while the old connection would go on working', async () => {
    const world = await newWorld();
    const first = await startHost('127.0.0.7', 0);
    const second = await startHost('127.0.0.8', first.port);
    await world.means(FIRST);
    const gateway = await startIn(world, first.port);
    await waitUntil(async () => await isServed(gateway, first), { what: 'the first host serves' });
    await world.means(SECOND);
    expect(await isServed(gateway, first)).toBe(true);
    await world.set({ skipMs: 61_000 });
    await waitUntil(async () => await isServed(gateway, second), { what: 'the second host serves' });
    expect(await isServed(gateway, second)).toBe(true);
    await gateway.stop();
  });

  it('row 168: a name that never meant anything allowed connects nowhere, for run and check-upstream alike', async () => {
    const world = await newWorld();
    const victim = await startHost('127.0.0.1', 0);
    await world.means('127.0.0.1');
    const gateway = await startIn(world, victim.port);
    await waitUntil(async () => (await route(gateway)).health === 'down', { what: 'it is down' });
    expect(gateway.stderr()).toContain('resolves to a refused address');
    const upstream = { transport: 'http', url: `http://upstream.test:${victim.port}/mcp` };
    const checked = await cli('check-upstream', upstream, world.env);
    expect([checked.code, checked.stdout]).toEqual([1, expect.stringContaining('allow_private_networks')]);
    expect(await world.connected()).toEqual([]);
    expect(victim.connections()).toBe(0);
    for (const address of ['::ffff:127.0.0.1', '::1', '0.0.0.0', '10.0.0.1', '64:ff9b::7f00:1']) {
      await world.means(FIRST, address);
      const outcome = await cli('check-upstream', upstream, world.env);
      expect([outcome.code, outcome.stdout]).toEqual([1, expect.stringContaining(`resolves to a refused address: ${address}`)]);
    }
    expect(await world.connected()).toEqual([]);
    await world.means('127.0.0.1');
    expect((await cli('check-upstream', { ...upstream, allow_private_networks: true }, world.env)).code).toBe(0);
    await world.means('169.254.169.254');
    const metadata = await cli('check-upstream', { ...upstream, allow_private_networks: true }, world.env);
    expect([metadata.code, metadata.stdout]).toEqual([1, expect.stringContaining('never reached')]);
    expect(new Set(await world.connected())).toEqual(new Set(['127.0.0.1']));
    await gateway.stop();
  });
});

describe('localhost', () => {
  it('row 167: works as an upstream with the switch; its error answers name neither host nor port', async () => {
    const upstream = await startHttpUpstream();
    const url = upstream.url.replace('127.0.0.1', 'localhost');
    const gateway = await startGateway({ config: { auth, rate_limit, upstream: { url, allow_private_networks: true } } });
    expect((await call(gateway)).status).toBe(200);
    await upstream.close();
    const answer = await waitUntil(
      async () => {
        const one = await call(gateway);
        return one.status === 200 ? null : one;
      },
      { what: 'it is gone' },
    );
    expect(answer.body).not.toMatch(new RegExp(`localhost|127\\.0\\.0\\.1|${upstream.port}|ECONN`));
    await gateway.stop();
  });
});
