import { randomBytes } from 'node:crypto';
import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { MeshClient, ToCaller, ToOwner } from '../../src/core/mesh.ts';
import type { MeshAccess } from '../../src/core/messages.ts';
import { Mesh } from '../../src/process/mesh.ts';
import { OwnerHandshake } from '../../src/process/mesh-handshake.ts';
import { openPrivateFolder } from '../../src/process/private-socket.ts';
import { envelope } from '../upstream/support.ts';
import { until } from './support.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** What one worker saw. */
class Seen implements MeshClient {
  readonly events: string[] = [];
  readonly asked: ToOwner[] = [];
  readonly answered: ToCaller[] = [];

  connected(slot: number): void {
    this.events.push(`up ${slot}`);
  }

  lost(slot: number): void {
    this.events.push(`lost ${slot}`);
  }

  callerConnected(slot: number): void {
    this.events.push(`caller ${slot}`);
  }

  callerLost(slot: number): void {
    this.events.push(`caller lost ${slot}`);
  }

  fromOwner(_slot: number, message: ToCaller): void {
    this.answered.push(message);
  }

  fromCaller(_slot: number, message: ToOwner): void {
    this.asked.push(message);
  }
}

function access(slots: number): MeshAccess {
  const folder = openPrivateFolder();
  closers.push(() => folder.remove());
  return { folder: folder.path, secret: randomBytes(32), slots, maxFrameBytes: 32 * 1_048_576 };
}

async function enter(at: MeshAccess, slot: number): Promise<{ mesh: Mesh; seen: Seen }> {
  const mesh = await Mesh.open(at, slot);
  const seen = new Seen();
  mesh.attach(seen);
  closers.push(() => mesh.close());
  return { mesh, seen };
}

const call = (text: string): ToOwner => ({
  type: 'call',
  call: 1,
  server: 'fs',
  key: '',
  restPath: '',
  principalKey: 'api_key:alice',
  modern: null,
  message: envelope({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: { text } } }),
});

describe('Mesh', () => {
  it('carries messages of any size both ways, in order', async () => {
    const at = access(2);
    const [one, other] = [await enter(at, 0), await enter(at, 1)];
    await until(() => one.seen.events.includes('up 1') && one.seen.events.includes('caller 1'));
    const big = 'x'.repeat(3 * 1_048_576);
    for (const text of ['a', big, 'b']) expect(one.mesh.toOwner(1, call(text))).toBe(true);
    await until(() => other.seen.asked.length === 3);
    const texts = other.seen.asked.map((asked) => ('message' in asked ? asked.message.bytes.length : 0));
    expect(texts[1]).toBeGreaterThan(big.length);
    expect(other.seen.asked[2]).toEqual(call('b'));
    const reply: ToCaller = { type: 'reply', call: 1, bytes: Buffer.from('{"big":1}'), isError: false, code: 0, life: '' };
    other.mesh.toCaller(0, reply);
    await until(() => one.seen.answered.length === 1);
    expect(one.seen.answered).toEqual([reply]);
  });

  it('says when a worker is lost, refuses to send to it, and connects to the one that takes its place', async () => {
    const at = access(2);
    const one = await enter(at, 0);
    const gone = await enter(at, 1);
    await until(() => one.seen.events.includes('up 1'));
    gone.mesh.close();
    await until(() => one.seen.events.includes('lost 1'));
    expect(one.mesh.toOwner(1, call('a'))).toBe(false);
    await enter(at, 1);
    await until(() => one.seen.events.filter((event) => event === 'up 1').length === 2);
    expect(one.mesh.toOwner(1, call('a'))).toBe(true);
  });

  it('hears nobody who does not know the secret: garbage, silence, another gateway', async () => {
    const at = access(2);
    const { seen } = await enter(at, 0);
    const path = join(at.folder, 'w0');
    const cut = (first: Buffer | null): Promise<void> =>
      new Promise((resolve) => {
        const socket = createConnection(path, () => first !== null && socket.write(first));
        socket.on('error', () => undefined);
        socket.resume();
        socket.on('close', () => resolve());
      });
    const framed = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([bytes.length, 0, 0, 0]), bytes]);
    await Promise.all([cut(Buffer.from('GET / HTTP/1.1\r\n\r\n')), cut(framed(randomBytes(66))), cut(framed(randomBytes(3))), cut(null)]);
    const stranger = await Mesh.open({ ...at, secret: randomBytes(32) }, 1);
    closers.push(() => stranger.close());
    const theirs = new Seen();
    stranger.attach(theirs);
    await cut(null);
    expect([seen.events, theirs.events]).toEqual([[], []]);
  });

  it('sends nothing to a socket that took a worker’s place without knowing the secret', async () => {
    const at = access(2);
    const heard: Buffer[] = [];
    const impostor = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => {
        heard.push(chunk);
        socket.write(Buffer.concat([Buffer.from([32, 0, 0, 0]), randomBytes(32)]));
      });
      socket.write(Buffer.concat([Buffer.from([32, 0, 0, 0]), randomBytes(32)]));
    });
    await new Promise<void>((resolve) => impostor.listen(join(at.folder, 'w1'), resolve));
    closers.push(() => impostor.close());
    const { mesh, seen } = await enter(at, 0);
    await until(() => heard.length >= 2);
    expect([mesh.toOwner(1, call('secret')), seen.events]).toEqual([false, []]);
    expect(Buffer.concat(heard).includes(Buffer.from(at.secret))).toBe(false);
  });

  it('refuses calls to a worker that does not read, but not the end of one that is under way, and gives it up when that is too much', async () => {
    const at = access(2);
    const stuck = createServer((socket) => {
      const handshake = new OwnerHandshake(at.secret, 1);
      const framed = (bytes: Uint8Array): Buffer => Buffer.concat([Buffer.from([bytes.length, 0, 0, 0]), bytes]);
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => {
        const met = handshake.meet(chunk.subarray(4));
        if (met !== null) socket.write(framed(met.proof));
        socket.pause();
      });
      socket.write(framed(handshake.challenge));
    });
    await new Promise<void>((resolve) => stuck.listen(join(at.folder, 'w1'), resolve));
    closers.push(() => stuck.close());
    const { mesh, seen } = await enter(at, 0);
    await until(() => seen.events.includes('up 1'));
    const big = call('x'.repeat(1_048_576));
    let sent = 0;
    while (mesh.toOwner(1, big)) sent += 1;
    expect([sent > 14, sent < 20, mesh.toOwner(1, call('small'))]).toEqual([true, true, false]);
    const flows: readonly ToOwner[] = [
      { type: 'gone', call: 1 },
      { type: 'resume', call: 1 },
      { type: 'session', what: 'leave', call: 1 },
      { type: 'session', what: 'resume', call: 1 },
    ];
    for (const flow of flows) expect(mesh.toOwner(1, flow)).toBe(true);
    let more = 0;
    while (mesh.toOwner(1, { type: 'pause', call: 1 }) && more < 2_000_000) more += 1;
    expect(more).toBeLessThan(2_000_000);
    await until(() => seen.events.includes('lost 1'));
  });

  it('waits at a farewell for those that may still call, and not for those that are gone', async () => {
    const at = access(3);
    const [one, other, third] = [await enter(at, 0), await enter(at, 1), await enter(at, 2)];
    await until(() => one.seen.events.filter((event) => event.startsWith('caller ')).length === 2);
    await until(() => other.seen.events.includes('up 0') && third.seen.events.includes('up 0'));
    let isDone = false;
    const farewell = one.mesh.farewell(20_000).then(() => (isDone = true));
    third.mesh.close();
    await until(() => one.seen.events.includes('caller lost 2'));
    expect(isDone).toBe(false);
    void other.mesh.farewell(0);
    await farewell;
    expect(isDone).toBe(true);
  });
});
