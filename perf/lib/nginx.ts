import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bench } from './bench.ts';
import { freePort, isAnswering, start, until } from './process.ts';
import type { Target } from './target.ts';

/** nginx as a plain relay of every path: kept connections, access log to a file, bodies in memory. */
export async function startNginx(bench: Bench, upstream: Target, workers: number = bench.settings.workers): Promise<Target> {
  const name = workers === bench.settings.workers ? 'nginx' : `nginx with ${workers}`;
  const dir = join(bench.dir, `nginx-${workers}`);
  await mkdir(dir);
  const port = await freePort();
  const file = join(dir, 'nginx.conf');
  await writeFile(file, configOf(dir, port, new URL(upstream.url).host, workers));
  const program = bench.keep(start(name, 'nginx', ['-p', dir, '-c', file, '-e', 'stderr']));
  await until(program, () => isAnswering(`http://127.0.0.1:${port}/up`));
  const { pathname } = new URL(upstream.url);
  return { name, url: `http://127.0.0.1:${port}${pathname}`, callers: upstream.callers, program, isForeign: false };
}

function configOf(dir: string, port: number, upstream: string, workers: number): string {
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${join(dir, name)};`);
  return `daemon off;
worker_processes ${workers};
worker_rlimit_nofile 65536;
pid ${join(dir, 'nginx.pid')};
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 32768; }
http {
  error_log stderr;
  access_log ${join(dir, 'access.log')};
  ${paths.join('\n  ')}
  keepalive_requests 100000000;
  client_max_body_size 2m;
  client_body_buffer_size 2m;
  proxy_max_temp_file_size 0;
  upstream echo { server ${upstream}; keepalive 64; keepalive_timeout 5s; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} reuseport;
    location = /up { return 200; }
    location / { proxy_pass http://echo; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_read_timeout 600s; }
  }
}
`;
}
