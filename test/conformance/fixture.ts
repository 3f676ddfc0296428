import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { cleanEnv } from '../e2e/cli.ts';
import { startGateway } from '../e2e/gateway.ts';
import { waitUntil } from '../e2e/wait.ts';

/** Every transport that the gateway reaches servers by. */
export const UPSTREAM_TRANSPORTS: readonly UpstreamTransport[] = ['http', 'stdio', 'websocket', 'sse'];

/** How the gateway reaches the fixture. */
export type UpstreamTransport = 'http' | 'stdio' | 'websocket' | 'sse';

/** The same where the server speaks revision 2026-07-28 only. */
export type ModernTransport = 'http, modern only' | 'stdio, modern only';

const FIXTURES = join(import.meta.dirname, 'fixtures');
const QUIET = '--disable-warning=ExperimentalWarning';
/** Servers that do not speak HTTP cannot close a stream themselves, as the suite wants to see it done. */
const POLL_AFTER_SECS = 0.5;
const children = new Set<ChildProcess>();

afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

/** Starts a fixture that listens and returns the URL that it prints. */
async function listening(script: string, ...args: string[]): Promise<string> {
  const child = spawn(process.execPath, [QUIET, join(FIXTURES, script), ...args], { env: cleanEnv(), stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (chunk: string) => (printed += chunk));
  return await waitUntil(() => /(?:http|ws):\S+/.exec(printed)?.[0], { what: script, timeoutMs: 15_000, describe: () => printed });
}

/** The fixture over Streamable HTTP: its URL. */
export async function fixtureOverHttp(): Promise<string> {
  return await listening('serve-http.ts');
}

async function upstreamOf(transport: UpstreamTransport | ModernTransport, url?: string): Promise<Readonly<Record<string, unknown>>> {
  switch (transport) {
    case 'http':
      return { transport, url: url ?? (await fixtureOverHttp()), allow_private_networks: true };
    case 'websocket':
    case 'sse':
      return { transport, url: url ?? (await listening(`serve-${transport}.ts`)), allow_private_networks: true, isolation: 'session' };
    case 'http, modern only':
      return { transport: 'http', url: await listening('serve-http.ts', 'modern'), allow_private_networks: true };
    case 'stdio, modern only':
      return { transport: 'stdio', command: process.execPath, args: [QUIET, join(FIXTURES, 'serve-stdio.ts'), 'modern'] };
    case 'stdio':
      return { transport, command: process.execPath, args: [QUIET, join(FIXTURES, 'serve-stdio.ts')], isolation: 'session' };
  }
}

/**
 * The gateway in front of a fixture, of its own unless `url` names one; open to everybody and without limits, as the suite calls for.
 * Returns its MCP endpoint.
 */
export async function gatewayInFront(transport: UpstreamTransport | ModernTransport, url?: string, workers: number = 1): Promise<string> {
  const config = {
    server: { workers },
    auth: { allow_anonymous: true },
    rate_limit: { enabled: false },
    session: { poll_after_secs: POLL_AFTER_SECS },
    upstream: await upstreamOf(transport, url),
  };
  return (await startGateway({ config })).mcp;
}
