import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { UpstreamSettings } from '../../src/core/config.ts';
import type { Upstream } from '../../src/core/upstream.ts';
import { buildUpstream } from '../../src/upstream/build.ts';
import { ask, begin, call, deps, httpSettings, ready, resultOf, Sink, stdioSettings, until } from './support.ts';

const PACKAGES = join(import.meta.dirname, '..', '..', 'node_modules', '@modelcontextprotocol');
const EVERYTHING = join(PACKAGES, 'server-everything', 'dist', 'index.js');
const FILESYSTEM = join(PACKAGES, 'server-filesystem', 'dist', 'index.js');
const LOOPBACK = join(import.meta.dirname, 'fixtures', 'loopback-only.mjs');

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'upstream-files-')));
writeFileSync(join(folder, 'hello.txt'), 'Grüße 😀');
afterAll(() => rmSync(folder, { recursive: true }));

const opened: Upstream[] = [];
const children: ChildProcess[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((upstream) => upstream.close()));
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

async function open(settings: UpstreamSettings): Promise<Upstream> {
  const upstream = buildUpstream(settings, deps());
  opened.push(upstream);
  upstream.start();
  await ready(upstream);
  return upstream;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The real server; it has no option for the address, a preload keeps it on loopback. */
async function everythingOverHttp(port: number): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--import', LOOPBACK, EVERYTHING, 'streamableHttp'], {
    env: { ...process.env, PORT: String(port) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  children.push(child);
  let log = '';
  child.stderr?.on('data', (chunk: Buffer) => (log += chunk.toString()));
  await until(() => log.includes('listening'), 'the server listens');
  return child;
}

async function useEverything(upstream: Upstream): Promise<void> {
  const tools = (await resultOf(upstream, call('tools/list', {}, 'l'))) as { tools: { name: string }[] };
  expect(tools.tools.map(({ name }) => name)).toContain('echo');
  expect(await resultOf(upstream, call('tools/call', { name: 'echo', arguments: { message: 'hi' } }))).toMatchObject({
    content: [{ text: 'Echo: hi' }],
  });
  const sink = new Sink();
  const params = { name: 'trigger-long-running-operation', arguments: { duration: 0.4, steps: 4 }, _meta: { progressToken: 'tok' } };
  begin(upstream, call('tools/call', params, 'long'), sink);
  expect((await sink.outcome).reply?.id).toBe('long');
  expect(
    sink.messages.filter(({ method }) => method === 'notifications/progress').map(({ params: { progressToken } }) => progressToken),
  ).toEqual(['tok', 'tok', 'tok', 'tok']);
}

describe('real servers', () => {
  it('serves the filesystem server over stdio', async () => {
    const upstream = await open(stdioSettings({ args: [FILESYSTEM, folder] }));
    const read = call('tools/call', { name: 'read_text_file', arguments: { path: join(folder, 'hello.txt') } });
    expect(await resultOf(upstream, read)).toMatchObject({ content: [{ type: 'text', text: 'Grüße 😀' }] });
    const denied = await ask(upstream, call('tools/call', { name: 'read_text_file', arguments: { path: '/etc/passwd' } }));
    expect(denied.reply?.result).toMatchObject({ isError: true });
  });

  it('serves the everything server over stdio', async () => {
    const upstream = await open(stdioSettings({ args: [EVERYTHING, 'stdio'] }));
    await useEverything(upstream);
    expect(upstream.info?.capabilities.has('tools')).toBe(true);
  });

  it('serves the everything server over HTTP, and again after it was killed and restarted', async () => {
    const port = await freePort();
    const child = await everythingOverHttp(port);
    const upstream = await open(httpSettings(`http://127.0.0.1:${port}/mcp`));
    await useEverything(upstream);
    child.kill('SIGKILL');
    await until(() => upstream.state === 'down', 'down');
    await everythingOverHttp(port);
    await ready(upstream);
    await useEverything(upstream);
  });
});
