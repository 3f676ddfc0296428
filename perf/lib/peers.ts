import { fileURLToPath } from 'node:url';
import type { Bench } from './bench.ts';
import { freePort, start, until } from './process.ts';
import type { Target } from './target.ts';

const bin = (path: string): string => fileURLToPath(new URL(`../../node_modules/${path}`, import.meta.url));
const MCP_PROXY = bin('mcp-proxy/dist/bin/mcp-proxy.mjs');
const SUPERGATEWAY = bin('supergateway/dist/index.js');

const REVISION = '2025-06-18';
const INITIALIZE = { protocolVersion: REVISION, capabilities: {}, clientInfo: { name: 'perf', version: '1.0.0' } };

/** npm `mcp-proxy` in front of a stdio server; one session for all connections. */
export async function startMcpProxy(bench: Bench, command: readonly string[]): Promise<Target> {
  const port = await freePort();
  const options = ['--host', '127.0.0.1', '--port', String(port), '--server', 'stream'];
  return await startPeer(bench, 'mcp-proxy', port, [MCP_PROXY, ...options, '--', ...command]);
}

/** npm `supergateway --stateful` in front of a stdio server; one session for all connections. */
export async function startSupergateway(bench: Bench, command: readonly string[]): Promise<Target> {
  const port = await freePort();
  const options = ['--outputTransport', 'streamableHttp', '--stateful', '--port', String(port), '--logLevel', 'none'];
  return await startPeer(bench, 'supergateway', port, [SUPERGATEWAY, '--stdio', command.join(' '), ...options]);
}

async function startPeer(bench: Bench, name: string, port: number, args: readonly string[]): Promise<Target> {
  // Its servers run under our own Node as well; only the peer itself is counted.
  const program = bench.keep(start(name, process.execPath, args, { isOwn: (command) => command.includes(args[0] ?? '') }));
  const url = `http://127.0.0.1:${port}/mcp`;
  let session: string | null = null;
  await until(program, async () => (session = await openSession(url)) !== null);
  return { name, url, callers: [[`Mcp-Session-Id: ${session}`, `MCP-Protocol-Version: ${REVISION}`]], program, isForeign: true };
}

/** The id of a new session that is ready for calls; null while the server does not answer. */
async function openSession(url: string): Promise<string | null> {
  const response = await post(url, { id: 1, method: 'initialize', params: INITIALIZE }, {}).catch(() => null);
  const session = response?.headers.get('mcp-session-id') ?? null;
  await response?.text();
  if (session === null) return null;
  const done = await post(url, { method: 'notifications/initialized' }, { 'mcp-session-id': session, 'mcp-protocol-version': REVISION });
  await done.text();
  return session;
}

async function post(url: string, message: Readonly<Record<string, unknown>>, headers: Readonly<Record<string, string>>): Promise<Response> {
  return await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
    body: JSON.stringify({ jsonrpc: '2.0', ...message }),
  });
}
