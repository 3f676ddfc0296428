import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { delay, freePort } from '../support.ts';

const NGINX = '/usr/sbin/nginx';
const HAPROXY = '/usr/sbin/haproxy';

/** A reverse proxy in front of the gateway. */
export interface Front {
  readonly port: number;
  isAlive(): boolean;
  stop(): Promise<void>;
}

export function startNginx(backendPort: number): Promise<Front> {
  return nginx([backendPort], 'keepalive 16;');
}

/** In front of several gateways, which it asks in turn, each time over a new connection. */
export function startNginxInTurn(backendPorts: readonly number[]): Promise<Front> {
  return nginx(backendPorts, '');
}

function nginx(backendPorts: readonly number[], keepalive: string): Promise<Front> {
  return start(NGINX, backendPorts.join(' and '), (folder, port) => {
    const backends = backendPorts.map((backendPort) => `server 127.0.0.1:${backendPort};`);
    writeFileSync(join(folder, 'nginx.conf'), nginxConfig(folder, port, `${backends.join(' ')} ${keepalive}`));
    return ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')];
  });
}

export function startHaproxy(backendPort: number): Promise<Front> {
  return start(HAPROXY, String(backendPort), (folder, port) => {
    writeFileSync(join(folder, 'haproxy.cfg'), haproxyConfig(port, backendPort));
    return ['-db', '-f', join(folder, 'haproxy.cfg')];
  });
}

async function start(binary: string, backends: string, prepare: (folder: string, port: number) => string[]): Promise<Front> {
  if (!existsSync(binary)) throw new Error(`${binary} is missing; install it with: apt-get install --no-install-recommends nginx haproxy`);
  const folder = mkdtempSync(join(tmpdir(), 'mcp-guard-front-'));
  const port = await freePort();
  const child = spawn(binary, prepare(folder, port), { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = `${complaint}${chunk.toString()}`.slice(-2000);
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await exited;
    rmSync(folder, { recursive: true, force: true });
  };
  for (let tries = 0; tries < 100; tries += 1) {
    if (await accepts(port)) return { port, isAlive: () => isAlive(child), stop };
    await delay(50);
  }
  await stop();
  throw new Error(`${binary} in front of port ${backends} did not start: ${complaint}`);
}

function isAlive(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

function nginxConfig(folder: string, port: number, backends: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `  ${kind}_temp_path ${join(folder, kind)};`);
  return `daemon off;
master_process off;
pid ${join(folder, 'nginx.pid')};
events { worker_connections 256; }
http {
${temporary.join('\n')}
  access_log off;
  upstream gateway { ${backends} }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://gateway;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
    }
  }
}
`;
}

function haproxyConfig(port: number, backendPort: number): string {
  return `global
  maxconn 500
defaults
  mode http
  timeout connect 2s
  timeout client 20s
  timeout server 20s
  http-reuse always
frontend entrance
  bind 127.0.0.1:${port}
  default_backend gateway
backend gateway
  server one 127.0.0.1:${backendPort}
`;
}
