import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { AUDIT_FD, AuditPipe, readAuditPipe } from '../../src/process/audit-path.ts';
import { openPrivateFolder } from '../../src/process/private-socket.ts';
import { until } from './support.ts';

interface Batch {
  readonly text: string;
  readonly lines: number;
  readonly dropped: number;
}

interface Ends {
  readonly near: Socket;
  readonly far: Socket;
}

const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0)) close();
});

async function connected(): Promise<Ends> {
  const folder = openPrivateFolder();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(folder.path, 's'), resolve));
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = createConnection(join(folder.path, 's'));
  const [far] = await accepted;
  near.on('error', () => undefined);
  open.push(() => {
    near.destroy();
    far.destroy();
    server.close();
    folder.remove();
  });
  return { near, far };
}

function readAll(stream: Readable): { readonly batches: Batch[]; readonly garbled: () => number } {
  const batches: Batch[] = [];
  let garbled = 0;
  readAuditPipe(
    stream,
    (bytes, lines, dropped) => batches.push({ text: Buffer.from(bytes).toString(), lines, dropped }),
    () => (garbled += 1),
  );
  return { batches, garbled: () => garbled };
}

describe('the pipe for audit lines', () => {
  it('carries batches of all sizes, whole and in order, with what they count', async () => {
    const { near, far } = await connected();
    const { batches, garbled } = readAll(far);
    const pipe = new AuditPipe(near);
    const sent = [1, 0, 70_000, 3_000_000, 12].map((length, n) => ({ text: 'é'.repeat(length), lines: n, dropped: n * 1000 }));
    for (const { text, lines, dropped } of sent) pipe.send(Buffer.from(text), lines, dropped);
    await until(() => batches.length === sent.length);
    expect(batches.map(({ text, ...rest }) => ({ ...rest, length: text.length }))).toEqual(
      sent.map(({ text, ...rest }) => ({ ...rest, length: text.length })),
    );
    expect([batches.every(({ text }, n) => text === sent[n]?.text), garbled(), pipe.backlogBytes]).toEqual([true, 0, 0]);
  });

  it('tells what waits while nobody reads, and calls back once it is out', async () => {
    const { near, far } = await connected();
    far.pause();
    const pipe = new AuditPipe(near);
    pipe.send(Buffer.alloc(4_000_000, 'x'), 1, 0);
    let isOut = false;
    pipe.flush(() => (isOut = true));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([pipe.backlogBytes > 3_000_000, isOut]).toEqual([true, false]);
    const { batches } = readAll(far);
    far.resume();
    await until(() => isOut);
    await until(() => batches.length === 1);
    expect(batches[0]?.text.length).toBe(4_000_000);
  });

  it('calls back as well when the other end is gone', async () => {
    const { near, far } = await connected();
    far.destroy();
    await once(near, 'close');
    const pipe = new AuditPipe(near);
    pipe.send(Buffer.from('{}\n'), 1, 0);
    await new Promise<void>((resolve) => pipe.flush(resolve));
    expect(near.destroyed).toBe(true);
  });

  it.each([
    ['too short a batch', Buffer.from([3, 0, 0, 0, 1, 2, 3])],
    ['too long a batch', Buffer.from([255, 255, 255, 255, 1])],
    ['another language', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ])('reads nothing more behind %s', async (_what, noise) => {
    const { near, far } = await connected();
    const { batches, garbled } = readAll(far);
    const pipe = new AuditPipe(near);
    pipe.send(Buffer.from('{}\n'), 1, 0);
    near.write(noise);
    pipe.send(Buffer.from('{"late":1}\n'), 1, 0);
    await until(() => garbled() > 0);
    await new Promise<void>((resolve) => pipe.flush(resolve));
    expect([batches, garbled(), far.destroyed]).toEqual([[{ text: '{}\n', lines: 1, dropped: 0 }], 1, true]);
  });

  it('is read to its end when the process at the other one is killed, and is not handed on to its children', async () => {
    const script = `
      import { spawnSync } from 'node:child_process';
      import { Socket } from 'node:net';
      import { AuditPipe } from ${JSON.stringify(new URL('../../src/process/audit-path.ts', import.meta.url).href)};
      const pipe = new AuditPipe(new Socket({ fd: ${AUDIT_FD}, readable: false, writable: true }));
      const list = 'readlink /proc/self/fd/${AUDIT_FD} || echo none';
      pipe.send(Buffer.from(spawnSync('sh', ['-c', list], { stdio: ['ignore', 'pipe', 'ignore'] }).stdout), 1, 0);
      for (let n = 0; n < 50; n++) pipe.send(Buffer.alloc(1000, 'x'), 1, 0);
      pipe.flush(() => process.kill(process.pid, 'SIGKILL'));
    `;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'ignore', 'ignore', 'ipc', 'pipe'] });
    const { batches, garbled } = readAll(child.stdio[AUDIT_FD] as Readable);
    const [, signal] = (await once(child, 'close')) as [number | null, string | null];
    expect([signal, batches.length, batches[0]?.text, garbled()]).toEqual(['SIGKILL', 51, 'none\n', 0]);
  });
});
