import { readdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import {
  keyEntry,
  makeKey,
  rpc,
  rpcRequest,
  runCli,
  runProgram,
  startGateway,
  startHttpUpstream,
  stdioUpstream,
  tempDir,
  toolCall,
  toolText,
  waitUntil,
  type Gateway,
} from '../e2e/harness.ts';

const KEY = makeKey();
const CONFIG = { auth: { api_keys: [keyEntry('alice', KEY)] }, upstream: stdioUpstream() };

/** Process ids of the upstream children that answered a few calls, each on a connection of its own. */
async function childrenOf(gateway: Gateway): Promise<readonly number[]> {
  const answers = await Promise.all([1, 2, 3, 4].map((id) => rpc(gateway.mcp, toolCall('whoami', {}, id), { key: KEY.key })));
  return answers.filter(({ status }) => status === 200).map((answer) => (JSON.parse(toolText(answer)) as { pid: number }).pid);
}

describe('mcp-guard run', () => {
  it('row 24: the banner lists URL, auth, upstreams, limits, audit and detectors on stdout, and no secret', async () => {
    const secret = 'do-not-print-me';
    const upstream = {
      servers: [
        { name: 'files', ...stdioUpstream(), env: { TOKEN: secret } },
        { name: 'mail', path_prefix: '/post', ...stdioUpstream() },
      ],
    };
    const gateway = await startGateway({ config: { ...CONFIG, upstream, rate_limit: { requests_per_second: 7, burst_size: 3 } } });
    const banner = gateway.stdout();
    expect(banner).toMatch(/listen\s+http:\/\/127\.0\.0\.1:\d+/);
    expect(gateway.port).toBeGreaterThan(0);
    expect(banner).toMatch(/auth\s+API keys: 1/);
    expect(banner).toMatch(/files \(stdio\) at \/mcp\/files/);
    expect(banner).toMatch(/mail \(stdio\) at .*\/mcp\/post/);
    expect(banner).toMatch(/limits\s+7 requests\/s, burst 3/);
    expect(banner).toMatch(/audit\s+.*mcp-guard-audit\.jsonl/);
    expect(banner).toMatch(/detectors\s+none/);
    for (const text of [secret, KEY.key, KEY.hash]) expect(banner + gateway.stderr()).not.toContain(text);
    await gateway.stop();
  });

  it('row 27: flags beat the file, and what no flag names stays as the file says', async () => {
    const gateway = await startGateway({
      config: { ...CONFIG, server: { host: '127.0.0.1', port: 1, workers: 1 }, rate_limit: { burst_size: 4 } },
      args: ['--host', '127.0.0.2', '--port', '0'],
    });
    expect(gateway.url).toMatch(/^http:\/\/127\.0\.0\.2:\d+$/);
    expect(gateway.port).not.toBe(1);
    expect(gateway.stdout()).toContain('burst 4');
    expect((await rpc(gateway.mcp, toolCall('echo'), { key: KEY.key })).status).toBe(200);
    await gateway.stop();
  });

  it('row 27: flags beat the environment, and the environment beats the file', async () => {
    const gateway = await startGateway({
      config: CONFIG,
      args: ['--port', '0'],
      env: { MCP_GUARD_SERVER_PORT: '1', MCP_GUARD_RATE_LIMIT_BURST_SIZE: '6' },
    });
    expect(gateway.port).not.toBe(1);
    expect(gateway.stdout()).toContain('burst 6');
    await gateway.stop();
  });

  it('row 22: --host and --port beat the file; with port 0 every worker binds the one that the banner prints', async () => {
    const gateway = await startGateway({
      config: { ...CONFIG, server: { port: 1, workers: 2 } },
      args: ['--host', '127.0.0.3', '--port', '0'],
    });
    expect(gateway.url).toMatch(/^http:\/\/127\.0\.0\.3:\d+$/);
    const seen = new Set<number>();
    const meetMore = async (): Promise<boolean> => {
      for (const pid of await childrenOf(gateway)) seen.add(pid);
      return seen.size === 2;
    };
    expect(await waitUntil(meetMore, { what: 'the children of both workers answer on that port', timeoutMs: 10_000 })).toBe(true);
    await gateway.stop();
  });

  it('row 23: a busy port exits 1 with its number and the remedy, whoever holds it', async () => {
    const gateway = await startGateway({ config: CONFIG });
    const upstream = await startHttpUpstream();
    for (const port of [gateway.port, upstream.port]) {
      const { code, stdout, stderr } = await runCli(['run', '-c', 'mcp-guard.json', '--port', String(port)], { cwd: gateway.dir });
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toContain(String(port));
      expect(stderr).toContain('--port');
    }
    expect((await rpc(gateway.mcp, toolCall('echo'), { key: KEY.key })).status).toBe(200);
    await gateway.stop();
  });

  it.each([
    [[], []],
    [['-v'], ['debug']],
    [['--verbose'], ['debug']],
    [['-vv'], ['debug', 'trace']],
    [
      ['-v', '-v'],
      ['debug', 'trace'],
    ],
    [
      ['-v', '-v', '-v'],
      ['debug', 'trace'],
    ],
  ])('row 30: %j is accepted and adds %j lines of each request to the JSON log on stderr', async (flags, added) => {
    const gateway = await startGateway({ config: { ...CONFIG, logging: { format: 'json' } }, args: flags });
    const headers = { 'x-request-id': 'watched' };
    expect((await rpc(gateway.mcp, toolCall('echo'), { key: KEY.key, headers })).status).toBe(200);
    await gateway.stop();
    const lines = gateway
      .stderr()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.some(({ level }) => level === 'info')).toBe(true);
    const ofRequest = lines.filter(({ request_id }) => request_id === 'watched');
    expect([...new Set(ofRequest.map(({ level }) => level))].toSorted()).toEqual(added);
    const traced = ofRequest.filter(({ level }) => level === 'trace');
    if (!added.includes('trace')) return;
    expect(traced.map(({ msg }) => msg)).toEqual(['sent upstream', 'request ended']);
    expect(traced[1]).toMatchObject({ method: 'tools/call', status: 200, server: 'default', duration_ms: expect.any(Number) as number });
    expect(Number(traced[1]?.['duration_ms'])).toBeGreaterThanOrEqual(Number(traced[0]?.['duration_ms']));
    expect(gateway.stderr()).not.toContain(KEY.key);
  });

  it('row 30: the level can be set in the configuration, and a flag only ever adds to it', async () => {
    for (const [level, flags, isTraced] of [
      ['trace', [], true],
      ['trace', ['-v'], true],
      ['error', ['-vv'], true],
      ['error', [], false],
    ] as const) {
      const gateway = await startGateway({ config: { ...CONFIG, logging: { format: 'json', level } }, args: flags });
      await rpc(gateway.mcp, toolCall('echo'), { key: KEY.key });
      await gateway.stop();
      expect([level, flags, gateway.stderr().includes('"level":"trace"')]).toEqual([level, flags, isTraced]);
      if (!isTraced) expect(gateway.stderr()).toBe('');
    }
  });

  it('row 30: the readable form of the log has one line for each event as well', async () => {
    const gateway = await startGateway({ config: { ...CONFIG, logging: { format: 'pretty' } }, args: ['-vv'] });
    await rpc(gateway.mcp, toolCall('a\nb\u001b[31m'), { key: KEY.key });
    await gateway.stop();
    const lines = gateway.stderr().trimEnd().split('\n');
    for (const line of lines) expect(line).toMatch(/^\[\d\d:\d\d:\d\d\.\d{3}\] (TRACE|DEBUG|INFO|WARN|ERROR): /);
    expect(lines.filter((line) => line.includes('TRACE: request ended') && line.includes('tools/call'))).toHaveLength(1);
    expect(gateway.stderr()).not.toContain('\u001b');
  });

  it('ends with one line and exit 1 for a configuration that is not there', async () => {
    const { code, stdout, stderr } = await runCli(['run'], { cwd: await tempDir() });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('mcp-guard.toml');
    expect(stderr).toContain('mcp-guard init');
  });
});

describe('mcp-guard run --demo', () => {
  it('prints two new keys that work until it ends, denies delete_file, and writes no file', async () => {
    const dir = await tempDir();
    const gateway = await startGateway({ dir, args: ['--demo'] });
    const stdout = gateway.stdout();
    const keys = [...new Set(stdout.match(/mcp_[A-Za-z0-9_-]{43}/g))];
    expect(keys).toHaveLength(2);
    const [key = '', adminKey = ''] = keys;
    expect(toolText(await rpc(gateway.mcp, toolCall('echo', { message: 'hi' }), { key }))).toBe('hi');
    expect((await rpc(gateway.mcp, toolCall('delete_file', { path: 'welcome.md' }), { key })).status).toBe(403);
    const { json } = await rpc(gateway.mcp, rpcRequest('tools/list'), { key });
    const tools = json?.['result']?.['tools'] as unknown as { name: string }[];
    expect(tools.map((tool) => tool.name)).toEqual(['echo', 'add', 'slow', 'list_files', 'read_file']);
    expect((await rpc(`${gateway.url}/routes`, '', { key })).status).not.toBe(200);
    expect(stdout).toContain(adminKey);
    expect(await gateway.stop()).toEqual({ code: 0, signal: null });
    expect(await readdir(dir)).toEqual([]);
  });

  it('prints a curl line that works when pasted', async () => {
    const gateway = await startGateway({ args: ['--demo'] });
    const [line = ''] = gateway
      .stdout()
      .split('\n')
      .filter((text) => text.trim().startsWith('curl '));
    const { code, stdout } = await runProgram('/bin/sh', ['-c', line.replace(/^\s*curl/, 'curl -sS -i')]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^HTTP\/1\.1 200 /);
    expect(stdout).toContain('"result"');
    await gateway.stop();
  });
});
