import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { cleanEnv, isAlive, keyEntry, makeKey, MAIN, readRecord, stdioUpstream, tempDir, waitUntil, within } from './harness.ts';
import { sdkServerOverHttp } from './peer-servers.ts';
import { CLIENTS, type StdioTarget } from './peers.ts';

const alice = makeKey();
const HANDSHAKE = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
const running = new Set<ChildProcessWithoutNullStreams>();
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
});

interface Setup {
  readonly upstream: object;
  readonly auth?: object;
  readonly audit?: object;
  readonly server?: object;
}

/** A folder with a configuration, and what starts the program there. */
async function prepare(setup: Setup): Promise<{ readonly dir: string; readonly target: StdioTarget }> {
  const dir = await tempDir();
  const auth = { api_keys: [keyEntry('alice', alice, { denied_tools: ['env'], rate_limit: 1000, burst: 1000 })] };
  await writeFile(join(dir, 'c.json'), JSON.stringify({ auth, ...setup }));
  await writeFile(join(dir, 'key'), `${alice.key}\n`);
  const args = [MAIN, 'serve', '-c', join(dir, 'c.json'), '--key-file', join(dir, 'key')];
  return { dir, target: { command: process.execPath, args } };
}

/** The program as a client sees it that reads every line. */
class Served {
  readonly child: ChildProcessWithoutNullStreams;
  readonly exited: Promise<number | null>;
  stdout = '';
  stderr = '';

  constructor({ command, args }: StdioTarget, env: Readonly<Record<string, string>> = {}) {
    this.child = spawn(command, args, { env: cleanEnv(env), stdio: 'pipe' });
    running.add(this.child);
    this.child.stdin.on('error', () => undefined);
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.exited = once(this.child, 'close').then(([code]) => code as number | null);
  }

  send(message: object | string): void {
    this.child.stdin.write(`${typeof message === 'string' ? message : JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  }

  messages(): readonly Record<string, unknown>[] {
    const lines = this.stdout.split('\n').filter((line) => line !== '');
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  async answer(id: unknown): Promise<Record<string, unknown>> {
    return await waitUntil(() => (this.stdout.endsWith('\n') ? this.messages().find((message) => message['id'] === id) : undefined), {
      what: `an answer to ${String(id)}`,
      timeoutMs: 20_000,
      describe: () => `${this.stdout}\n${this.stderr}`,
    });
  }

  async exit(): Promise<number | null> {
    return await within(this.exited, 15_000, () => `${this.stdout}\n${this.stderr}`);
  }
}

const echo = (id: number, args: object): object => ({ id, method: 'tools/call', params: { name: 'echo', arguments: args } });

describe('mcp-guard serve', () => {
  it.each(CLIENTS)('row 31: serves %s, in front of a server that insists on its session', async (_name, connect) => {
    const upstream = { transport: 'http', url: await sdkServerOverHttp('sessions'), allow_private_networks: true };
    const { target } = await prepare({ upstream });
    const peer = await connect(target);
    expect((await peer.client.listTools()).tools.map(({ name }) => name)).toContain('add');
    expect(await peer.callTool({ name: 'add', arguments: { a: 2, b: 3 } })).toMatchObject({ structuredContent: { sum: 5 } });
    const steps: number[] = [];
    await peer.callTool({ name: 'steps', arguments: { count: 3 } }, { onprogress: ({ progress }) => void steps.push(progress) });
    expect(steps.length).toBeGreaterThan(0);
    // The last step comes together with the answer, which a client may take up first, without a gateway too.
    expect(peer.errors.filter(({ message }) => !message.includes('unknown token'))).toEqual([]);
    await peer.client.close();
  });

  it('row 31: stdout carries JSON-RPC alone, the banner and the log go to stderr, and the end of input ends it', async () => {
    const recordFile = join(await tempDir(), 'record');
    const { dir, target } = await prepare({ upstream: stdioUpstream({ recordFile, noise: ['noise'] }), audit: { enabled: true } });
    const served = new Served(target);
    served.send({ id: 'i', method: 'initialize', params: HANDSHAKE });
    served.send({ method: 'notifications/initialized' });
    served.send(echo(1, { text: 'line\nbreak\u2028' }));
    expect(await served.answer('i')).toMatchObject({ result: { serverInfo: { name: 'stdio-fixture' } } });
    expect(await served.answer(1)).toMatchObject({ result: { content: [{ text: '{"text":"line\\nbreak\u2028"}' }] } });
    // Still answered, though its client has closed its end.
    served.send(echo(2, { delayMs: 300 }));
    served.child.stdin.end();
    expect(await served.exit()).toBe(0);
    expect(served.messages().map(({ id }) => id)).toEqual(['i', 1, 2]);
    expect(served.stderr).toContain('stdio of the client that started it');
    expect(served.stderr + served.stdout).not.toContain(alice.key);
    const { pids } = await readRecord(recordFile);
    expect(pids).toHaveLength(1);
    expect(pids.filter(isAlive)).toEqual([]);
    const audit = (await readFile(join(dir, 'mcp-guard-audit.jsonl'), 'utf8')).trim().split('\n');
    const calls = audit.map((line) => JSON.parse(line) as Record<string, unknown>).filter((line) => line['event_type'] === 'tool_call');
    expect(calls.map(({ tool, identity }) => [tool, identity])).toEqual([
      ['echo', 'alice'],
      ['echo', 'alice'],
    ]);
  });

  it('row 31: decides as it does for HTTP: who calls, what is allowed, what is well formed', async () => {
    const { target } = await prepare({ upstream: stdioUpstream() });
    const served = new Served(target);
    served.send({ id: 1, method: 'tools/call', params: { name: 'env', arguments: {} } });
    expect(await served.answer(1)).toMatchObject({ error: { code: -31_403, data: { error_id: expect.any(String) } } });
    served.send('{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","name":"env"}}');
    expect(await served.answer(2)).toMatchObject({ error: { code: -32_600 } });
    served.send('nonsense');
    expect(await served.answer(null)).toMatchObject({ error: { code: -32_700 } });
    served.child.kill('SIGTERM');
    expect(await served.exit()).toBe(0);
  });

  it.each([
    ['no key', {}],
    ['a wrong key', { MCP_GUARD_KEY: makeKey().key }],
    ['a key that is no token', { MCP_GUARD_KEY: 'a b' }],
  ])('answers a client with %s, and ends', async (_what, env) => {
    const { target } = await prepare({ upstream: stdioUpstream() });
    const served = new Served({ ...target, args: target.args.slice(0, -2) }, env);
    served.send({ id: 1, method: 'initialize', params: HANDSHAKE });
    expect(await served.answer(1)).toMatchObject({ error: { code: -31_401 } });
    expect(await served.exit()).toBe(1);
  });

  it('takes the key from the environment, which its children do not see', async () => {
    const auth = { api_keys: [keyEntry('alice', alice)] };
    const { target } = await prepare({ upstream: stdioUpstream(), auth });
    const served = new Served({ ...target, args: target.args.slice(0, -2) }, { MCP_GUARD_KEY: alice.key });
    served.send({ id: 1, method: 'tools/call', params: { name: 'env', arguments: {} } });
    expect(JSON.stringify(await served.answer(1))).not.toContain(alice.key);
    expect(served.stderr).not.toContain('MCP_GUARD_KEY');
    served.child.stdin.end();
    expect(await served.exit()).toBe(0);
  });

  it('ends a client whose message is too long', async () => {
    const { target } = await prepare({ upstream: stdioUpstream(), server: { max_request_size: 4096 } });
    const served = new Served(target);
    served.send(`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"pad":"${'x'.repeat(5000)}"}}`);
    expect(await served.answer(null)).toMatchObject({ error: { code: -31_413 } });
    expect(await served.exit()).toBe(1);
  });

  it('talks to the server that is asked for', async () => {
    const servers = ['a', 'b'].map((name) => ({ name, ...stdioUpstream({ name }) }));
    const { target } = await prepare({ upstream: { servers } });
    const served = new Served({ ...target, args: [...target.args, '--server', 'b'] });
    served.send({ id: 1, method: 'initialize', params: HANDSHAKE });
    expect(await served.answer(1)).toMatchObject({ result: { serverInfo: { name: 'b' } } });
    served.child.stdin.end();
    expect(await served.exit()).toBe(0);
  });

  it('says what keeps it from starting, on one line of stderr', async () => {
    const stdout = await prepare({ upstream: stdioUpstream(), audit: { enabled: true, stdout: true } });
    const none = await prepare({ upstream: stdioUpstream() });
    const cases: readonly (readonly [StdioTarget, Record<string, string>, string])[] = [
      [stdout.target, {}, 'audit.stdout'],
      [{ ...none.target, args: [...none.target.args, '--server', 'other'] }, {}, 'no server named "other"'],
      [none.target, { MCP_GUARD_KEY: alice.key }, 'not by both'],
      [{ ...none.target, args: [...none.target.args.slice(0, -1), join(none.dir, 'absent')] }, {}, 'ENOENT'],
    ];
    for (const [target, env, reason] of cases) {
      const served = new Served(target, env);
      expect(await served.exit()).toBe(1);
      expect([served.stdout, served.stderr.trim().split('\n').length]).toEqual(['', 1]);
      expect(served.stderr).toContain(reason);
    }
  });
});
