import { fileURLToPath } from 'node:url';
import type { Bench } from './bench.ts';
import { start, until } from './process.ts';
import type { Target } from './target.ts';

const upstreamMain = fileURLToPath(new URL('../fixtures/http-upstream.ts', import.meta.url));
const bareMain = fileURLToPath(new URL('../../native-bench/bare-uws.ts', import.meta.url));

/** The bare MCP server that everything relays to. */
export async function startUpstream(bench: Bench): Promise<Target> {
  return await startServer(bench, 'direct', [upstreamMain]);
}

/** An HTTP server that reads its requests, answers a constant, and relays nothing: what the listener could do at most. */
export async function startBareUws(bench: Bench): Promise<Target> {
  return await startServer(bench, 'bare µWS', [bareMain, 'serve']);
}

/** A program that prints its port, and ends with its standard input. */
export async function startServer(bench: Bench, name: string, args: readonly string[]): Promise<Target> {
  const program = bench.keep(start(name, process.execPath, args));
  await until(program, () => /^\d+\n/m.test(program.output()));
  const port = /^(\d+)\n/m.exec(program.output())?.[1];
  return { name, url: `http://127.0.0.1:${port}/mcp`, callers: [[]], program, isForeign: false };
}
