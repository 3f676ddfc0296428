import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const MAIN = join(import.meta.dirname, '..', 'dist', 'src', 'main.js');
const START_TIMEOUT_MS = 10_000;
const POLL_MS = 25;

/** The built gateway in front of its demo server, without a rate limit. */
export interface LoadedGateway {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly key: string;
  /** From the spawn to the first `/ready` 200. */
  readonly startMs: number;
  close(): Promise<void>;
}

function configuration(keyHash: string, workers: number): string {
  return JSON.stringify({
    server: { port: 0, workers },
    auth: { api_keys: [{ id: 'load', key_hash: keyHash, allowed_tools: ['*'] }] },
    rate_limit: { enabled: false, max_in_flight: 10_000 },
    upstream: { command: process.execPath, args: [MAIN, 'demo-server'] },
  });
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/ready`)).status === 200;
  } catch {
    return false;
  }
}

/** Starts `dist` in a folder of its own; throws, with what it wrote to stderr, when it is not ready in time. */
export async function startGateway(workers: number): Promise<LoadedGateway> {
  if (!existsSync(MAIN)) throw new Error('the program is not built: npm run build');
  const folder = mkdtempSync(join(tmpdir(), 'mcp-guard-perf-'));
  const key = `mcp_${randomBytes(32).toString('base64url')}`;
  const keyHash = createHash('sha256').update(key).digest('base64');
  writeFileSync(join(folder, 'mcp-guard.json'), configuration(keyHash, workers), { mode: 0o600 });
  const beginMs = performance.now();
  const child = spawn(process.execPath, [MAIN, 'run', '-c', 'mcp-guard.json'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const closed = once(child, 'close');
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const close = async (): Promise<void> => {
    child.kill('SIGTERM');
    await closed;
    rmSync(folder, { recursive: true });
  };
  while (performance.now() - beginMs < START_TIMEOUT_MS && child.exitCode === null) {
    const url = /^\s*listen\s+(https?:\/\/[^\s/]+)[^\n]*\n/m.exec(stdout)?.[1];
    if (url !== undefined && (await isReady(url))) return { url, key, startMs: performance.now() - beginMs, close };
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  await close();
  throw new Error(`the gateway did not become ready:\n${stderr}`);
}
