import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { framed } from '../../src/process/frames.ts';
import { LeaseWire } from '../../src/process/lease-wire.ts';
import { listenPrivately, type PrivateSocket } from '../../src/process/private-socket.ts';
import { until } from './support.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A primary that accepts connections, and reads of them what a test lets it. */
async function primary(onConnection: (socket: Socket) => void): Promise<PrivateSocket> {
  const sockets = new Set<Socket>();
  const server = await listenPrivately(10, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return server;
}

describe('LeaseWire', () => {
  it('drops what a stuck primary does not read only with its connection, so that no ask waits for its answer forever', async () => {
    let connections = 0;
    const { path } = await primary((socket) => {
      connections++;
      socket.pause();
    });
    const told: boolean[] = [];
    const wire = new LeaseWire(
      { path, token: randomBytes(32) },
      { answers: () => true, connected: (isConnected) => void told.push(isConnected) },
    );
    closers.push(() => wire.end(() => undefined));
    await until(() => told.length === 1);
    for (let i = 0; i < 64; i++) wire.send(framed(new Uint8Array(65_536)));
    await until(() => told.length === 3);
    expect(told).toEqual([true, false, true]);
    expect(connections).toBe(2);
  });
});
