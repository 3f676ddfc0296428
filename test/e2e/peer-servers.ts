import { spawn, type ChildProcess } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { cleanEnv, REPOSITORY } from './cli.ts';
import type { StdioTarget } from './peers.ts';
import { waitUntil } from './wait.ts';

const PACKAGES = join(REPOSITORY, 'node_modules', '@modelcontextprotocol');
const EVERYTHING = join(PACKAGES, 'server-everything', 'dist', 'index.js');
const FILESYSTEM = join(PACKAGES, 'server-filesystem', 'dist', 'index.js');
const LOOPBACK_ONLY = join(REPOSITORY, 'test', 'upstream', 'fixtures', 'loopback-only.mjs');
const SUPERGATEWAY = join(REPOSITORY, 'node_modules', 'supergateway', 'dist', 'index.js');
const SDK_SERVER = join(import.meta.dirname, 'fixtures', 'sdk-server.ts');

const children = new Set<ChildProcess>();
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

/** `@modelcontextprotocol/server-everything`, the official test server. */
export function everythingOverStdio(): StdioTarget {
  return { command: process.execPath, args: [EVERYTHING, 'stdio'] };
}

/** `@modelcontextprotocol/server-filesystem`, for one folder. */
export function filesystem(folder: string): StdioTarget {
  return { command: process.execPath, args: [FILESYSTEM, folder] };
}

/** The fixture made with SDK 2. */
export function sdkServerOverStdio(): StdioTarget {
  return { command: process.execPath, args: ['--disable-warning=ExperimentalWarning', SDK_SERVER, 'stdio'] };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts a server and resolves with what it printed once that matches. */
async function started(args: readonly string[], env: Record<string, string>, mark: RegExp): Promise<string> {
  const child = spawn(process.execPath, args, { env: cleanEnv(env), stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (chunk: string) => (printed += chunk));
  return await waitUntil(() => mark.exec(printed)?.[0], { what: args.join(' '), timeoutMs: 15_000, describe: () => printed });
}

/** The same over Streamable HTTP. It has no option for the address: a preload keeps it on loopback. Returns its URL. */
export async function everythingOverHttp(): Promise<string> {
  const port = await freePort();
  await started(['--import', LOOPBACK_ONLY, EVERYTHING, 'streamableHttp'], { PORT: String(port) }, /listening on port/);
  return `http://127.0.0.1:${port}/mcp`;
}

/** The same over HTTP+SSE. Returns the URL of its stream. */
export async function everythingOverSse(): Promise<string> {
  const port = await freePort();
  await started(['--import', LOOPBACK_ONLY, EVERYTHING, 'sse'], { PORT: String(port) }, /running on port/);
  return `http://127.0.0.1:${port}/sse`;
}

/** The same over stdio, behind a bridge to WebSocket. Returns its URL. */
export async function everythingOverWebSocket(): Promise<string> {
  const port = await freePort();
  const bridged = ['--stdio', `${process.execPath} ${EVERYTHING} stdio`, '--outputTransport', 'ws', '--messagePath', '/message'];
  await started(['--import', LOOPBACK_ONLY, SUPERGATEWAY, ...bridged, '--port', String(port)], {}, /Listening on port/);
  return `ws://127.0.0.1:${port}/message`;
}

/** The fixture over HTTP; returns its URL. */
export async function sdkServerOverHttp(mode: 'http' | 'modern' | 'sessions' | 'sse'): Promise<string> {
  return await started(['--disable-warning=ExperimentalWarning', SDK_SERVER, mode], {}, /http:\S+/);
}
