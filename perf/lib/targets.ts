import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generateKey, hashKey } from '../../src/auth/keys.ts';
import { freePort, start, stop, until } from './process.ts';
import type { Program } from './process.ts';

/** Something that answers `tools/call`. */
export interface Target {
  readonly name: 'direct' | 'nginx' | 'gateway';
  readonly url: string;
  readonly headers: readonly string[];
  /** What stands between client and upstream, or the upstream itself when nothing does. */
  readonly program: Program;
}

const upstreamMain = fileURLToPath(new URL('../fixtures/echo-upstream.ts', import.meta.url));
const gatewayMain = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));

/** The bare server that all the others relay to. */
export async function startUpstream(): Promise<Target> {
  const program = start('the upstream', process.execPath, ['--experimental-strip-types', '--no-warnings', upstreamMain]);
  await until(program, () => /^\d+\n/.test(program.output()));
  return { name: 'direct', url: `http://127.0.0.1:${Number.parseInt(program.output(), 10)}/mcp`, headers: [], program };
}

/** nginx as a plain relay: kept connections, access log to a file. */
export async function startNginx(dir: string, upstream: Target, workers: number): Promise<Target> {
  const port = await freePort();
  const file = join(dir, 'nginx.conf');
  await writeFile(file, nginxConfig(dir, port, new URL(upstream.url).host, workers));
  const program = start('nginx', 'nginx', ['-p', dir, '-c', file, '-e', join(dir, 'nginx-error.log')]);
  await until(program, () => isAnswering(`http://127.0.0.1:${port}/up`));
  return { name: 'nginx', url: `http://127.0.0.1:${port}/mcp`, headers: [], program };
}

/** The built gateway with its whole security path on: key, limit, grants, audit to a file. */
export async function startGateway(dir: string, upstream: Target, workers: number): Promise<Target> {
  if (!existsSync(gatewayMain)) throw new Error('the gateway is not built: npm run build');
  const port = await freePort();
  const key = generateKey();
  const file = join(dir, 'mcp-guard.toml');
  await writeFile(file, gatewayConfig(dir, port, hashKey(key), upstream.url, workers), { mode: 0o600 });
  const program = start('the gateway', process.execPath, [gatewayMain, 'run', '-c', file]);
  await until(program, () => isAnswering(`http://127.0.0.1:${port}/ready`));
  return { name: 'gateway', url: `http://127.0.0.1:${port}/mcp`, headers: [`Authorization: Bearer ${key}`], program };
}

export async function stopAll(targets: readonly Target[]): Promise<void> {
  for (const { program } of targets.toReversed()) await stop(program);
}

async function isAnswering(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).status === 200;
  } catch {
    return false;
  }
}

function nginxConfig(dir: string, port: number, upstream: string, workers: number): string {
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${join(dir, name)};`);
  return `daemon off;
worker_processes ${workers};
pid ${join(dir, 'nginx.pid')};
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 1024; }
http {
  access_log ${join(dir, 'nginx-access.log')};
  ${paths.join('\n  ')}
  keepalive_requests 100000000;
  upstream echo { server ${upstream}; keepalive 64; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port};
    location = /up { return 200; }
    location /mcp { proxy_pass http://echo; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`;
}

function gatewayConfig(dir: string, port: number, keyHash: string, upstream: string, workers: number): string {
  return `[server]
port = ${port}
workers = ${workers}

[[auth.api_keys]]
id = "perf"
key_hash = "${keyHash}"
allowed_tools = ["*"]

[rate_limit]
enabled = true
requests_per_second = 1000000
burst_size = 1000000

[audit]
enabled = true
file = ${JSON.stringify(join(dir, 'audit.jsonl'))}

[upstream]
transport = "http"
url = "${upstream}"
allow_private_networks = true
`;
}
