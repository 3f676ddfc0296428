import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { listenPrivately } from '../../src/process/private-socket.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('listenPrivately', () => {
  it('listens in a folder that nobody else may enter, and removes it', async () => {
    const socket = await listenPrivately(4, (connection) => connection.end('hello'));
    expect(statSync(dirname(socket.path)).mode & 0o777).toBe(0o700);
    const heard = await new Promise<string>((resolve, reject) => {
      const client = createConnection(socket.path);
      client.on('error', reject);
      client.on('data', (chunk) => resolve(String(chunk)));
    });
    expect(heard).toBe('hello');
    socket.close();
    expect(existsSync(dirname(socket.path))).toBe(false);
  });

  it('opens another folder each time', async () => {
    const sockets = await Promise.all([listenPrivately(1, () => undefined), listenPrivately(1, () => undefined)]);
    expect(sockets[0].path).not.toBe(sockets[1].path);
    for (const socket of sockets) socket.close();
    expect(sockets.some((socket) => existsSync(dirname(socket.path)))).toBe(false);
  });

  it('leaves no listener for the end of the process behind', async () => {
    const before = process.listenerCount('exit');
    const socket = await listenPrivately(1, () => undefined);
    expect(process.listenerCount('exit')).toBe(before + 1);
    socket.close();
    expect(process.listenerCount('exit')).toBe(before);
  });

  it('takes memory where the usual place cannot be written to or has too long a name', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'no-place-'));
    for (const place of [join(folder, 'missing'), join(folder, 'x'.repeat(90))]) {
      vi.stubEnv('TMPDIR', place);
      const socket = await listenPrivately(1, () => undefined);
      expect(dirname(dirname(socket.path))).toBe('/dev/shm');
      socket.close();
    }
    rmSync(folder, { recursive: true });
  });
});
