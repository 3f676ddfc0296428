import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../setup/sources.ts';

const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8').replaceAll('\\\n', ' ');
const instructions = dockerfile.split('\n').filter((line) => /^[A-Z]+ /.test(line));

/** Runs the image's health check with the given port and returns its exit status. */
async function healthCheck(port: number): Promise<number | null> {
  const check = instructions.find((line) => line.startsWith('HEALTHCHECK '))?.match(/CMD (\[.*\])$/)?.[1];
  const [command = '', ...args] = JSON.parse(check ?? '[]') as string[];
  const child = spawn(command, args, { env: { PATH: process.env['PATH'], MCP_GUARD_SERVER_PORT: String(port) } });
  return new Promise((resolve) => child.once('exit', resolve));
}

describe('the container image', () => {
  it('copies what exists, and what .dockerignore lets through', () => {
    const copies = instructions.filter((line) => line.startsWith('COPY ') && !line.includes('--from='));
    const paths = copies.flatMap((line) => line.split(/\s+/).slice(1, -1));
    const allowed = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n');
    expect(paths.filter((path) => !existsSync(join(ROOT, path)) || !allowed.includes(`!${path}`))).toEqual([]);
  });

  it('runs as an ordinary user, with a process 1 that passes signals on', () => {
    expect(instructions.filter((line) => line.startsWith('USER ')).at(-1)).toBe('USER node');
    expect(instructions.find((line) => line.startsWith('ENTRYPOINT '))).toContain('"tini", "--", "node"');
  });

  it('is healthy exactly while /live answers 200', async () => {
    let status = 200;
    const server = createServer((request, response) => response.writeHead(request.url === '/live' ? status : 404).end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    expect(await healthCheck(port)).toBe(0);
    status = 503;
    expect(await healthCheck(port)).toBe(1);
    await new Promise((resolve) => server.close(resolve));
    expect(await healthCheck(port)).toBe(1);
  });
});
