import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as tlsConnect, createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { packToOwner, type ToOwner } from '../../src/core/mesh.ts';
import type { SessionEvent } from '../../src/core/mesh-session.ts';
import type { PeerClient, PeerOrder } from '../../src/core/peers.ts';
import type { SessionNews } from '../../src/core/session-news.ts';
import { framed } from '../../src/process/frames.ts';
import { PeerLine } from '../../src/process/peer-line.ts';
import { peerDial, peerKey } from '../../src/process/peer-tls.ts';
import { Peers } from '../../src/process/peers.ts';
import { tempDir } from '../e2e/cli.ts';
import { freePort } from '../listener/support.ts';
import { envelope } from '../upstream/support.ts';
import { until } from './support.ts';

const MAX_FRAME_BYTES = 2 * 1_048_576;
const secret = randomBytes(32).toString('base64');
const closers: (() => unknown)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** What one host saw. */
class Seen implements PeerClient {
  readonly events: string[] = [];
  readonly asked: PeerOrder[] = [];
  readonly answered: SessionEvent[] = [];
  readonly told: SessionNews[] = [];
  readonly incidents: string[] = [];

  connected(): void {
    this.events.push('connected');
  }

  lost(_route: number, loss: 'gone' | 'unreached'): void {
    this.events.push(loss);
  }

  fromOwner(_route: number, event: SessionEvent): void {
    this.answered.push(event);
  }

  fromCaller(_caller: number, order: PeerOrder): void {
    this.asked.push(order);
  }

  callerLost(): void {
    this.events.push('caller lost');
  }

  news(news: SessionNews): void {
    this.told.push(news);
  }
}

interface Host {
  readonly peers: Peers;
  readonly seen: Seen;
  readonly address: string;
  readonly port: number;
}

/** A host that listens where `advertised` leads to, or at an address of its own. */
async function open(own: { readonly secret?: string; readonly advertised?: string } = {}): Promise<Host> {
  const port = await freePort();
  const address = own.advertised ?? `127.0.0.1:${port}`;
  const peers = await Peers.open({
    address,
    listen: { host: '127.0.0.1', port },
    secret: own.secret ?? secret,
    maxFrameBytes: MAX_FRAME_BYTES,
  });
  const seen = new Seen();
  peers.onIncident = (what, _address, reason) => seen.incidents.push(`${what} ${reason}`.trim());
  peers.attach(seen);
  closers.push(() => peers.close());
  return { peers, seen, address, port };
}

const order = (text: string): ToOwner => ({
  type: 'session',
  what: 'request',
  call: 1,
  server: 'program',
  place: Buffer.from('place'),
  params: null,
  message: envelope({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: { text } } }),
});

function send({ peers }: Host, address: string, message: ToOwner = order('a')): boolean {
  return peers.toOwner(peers.routeTo(address), message);
}

/** Passes bytes on between two ends, as whoever sits between them could change them. */
async function between(port: number, onChunk: (chunk: Buffer, from: 'caller' | 'owner', to: Socket) => void): Promise<string> {
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const [one, other, name] of [[near, far, 'caller'] as const, [far, near, 'owner'] as const]) {
      one.on('data', (chunk: Buffer) => onChunk(chunk, name, other));
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  return `127.0.0.1:${await listening(server)}`;
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** Resolves when the other end has cut the connection. */
function isCut(socket: Socket): Promise<void> {
  socket.on('error', () => undefined);
  socket.resume();
  return new Promise((resolve) => void socket.on('close', () => resolve()));
}

/** Speaks to a host as another one would that knows the secret. */
function insider({ port }: Host): Promise<Socket> {
  const socket = tlsConnect({ ...peerDial(peerKey(secret)), host: '127.0.0.1', port });
  socket.on('error', () => undefined);
  closers.push(() => socket.destroy());
  return new Promise((resolve) => void socket.once('secureConnect', () => resolve(socket)));
}

describe('hosts that know the same secret', () => {
  it('carry orders of any size, in order, what is sent before the connection is there included, and what is said to them', async () => {
    const [one, other] = [await open(), await open()];
    const big = 'x'.repeat(1_500_000);
    for (const text of ['a', big, 'b']) expect(send(one, other.address, order(text))).toBe(true);
    await until(() => other.seen.asked.length === 3);
    expect(other.seen.asked).toEqual([order('a'), order(big), order('b')]);
    const news: SessionNews = {
      touched: [{ ref: 'r', owner: 'o' }],
      ended: [{ ref: 'e', untilMs: 5 }],
      cancelled: [{ ref: 'c', idToken: '7' }],
    };
    one.peers.tell(news);
    await until(() => other.seen.told.length === 1);
    expect(other.seen.told).toEqual([news]);
    expect([one.peers.figures, other.peers.figures]).toMatchObject([
      { out: 1, in: 0, sent: 3, unreachable: 0, busy: 0 },
      { out: 0, in: 1, refused: 0 },
    ]);
  });

  it('say when the other one is gone, and that nothing was sent to one that never was there', async () => {
    const [one, other] = [await open(), await open()];
    send(one, other.address);
    await until(() => other.seen.asked.length === 1);
    other.peers.close();
    await until(() => one.seen.events.includes('gone'));
    send(one, other.address);
    await until(() => one.seen.events.includes('unreached'));
    // Not called again for a while.
    expect(one.peers.routeTo(other.address)).toBe(-1);
    expect(one.seen.events).toEqual(['connected', 'gone', 'connected', 'unreached']);
    expect(one.peers.figures).toMatchObject({ out: 0, sent: 1, unreachable: 2 });
  });

  it('call none but what is an address', async () => {
    const { peers } = await open();
    for (const address of ['', 'x', ':1', '127.0.0.1:0', '127.0.0.1:99999', '127.0.0.1:1e3.5']) {
      expect(peers.routeTo(address)).toBe(-1);
    }
  });
});

describe('whoever does not know the secret', () => {
  it('is not heard: garbage, plain HTTP, silence, another secret', async () => {
    const [{ port, seen, peers, address }, stranger] = [await open(), await open({ secret: randomBytes(32).toString('base64') })];
    for (const first of [randomBytes(64), Buffer.from('GET / HTTP/1.1\r\n\r\n')]) {
      const socket = connect(port, '127.0.0.1', () => socket.write(first));
      await isCut(socket);
    }
    await isCut(connect(port, '127.0.0.1'));
    send(stranger, address);
    await until(() => stranger.seen.events.includes('unreached'));
    await until(() => peers.figures.refused === 4);
    expect([seen.asked, seen.events, peers.figures.in]).toEqual([[], [], 0]);
    expect(seen.incidents.every((incident) => incident.startsWith('refused'))).toBe(true);
  });

  it('cannot repeat what was recorded of a connection', async () => {
    const owner = await open();
    const recorded: Buffer[] = [];
    const middle = await between(owner.port, (chunk, from, to) => {
      if (from === 'caller') recorded.push(chunk);
      to.write(chunk);
    });
    const caller = await open();
    send(caller, middle);
    await until(() => owner.seen.asked.length === 1);
    const socket = connect(owner.port, '127.0.0.1', () => socket.write(Buffer.concat(recorded)));
    await isCut(socket);
    expect([owner.seen.asked.length, owner.peers.figures.refused]).toEqual([1, 1]);
  });

  it('cannot change, leave out or repeat anything on the way: the connection ends, and nothing of it is heard', async () => {
    const tricks: readonly ((chunk: Buffer, to: Socket) => void)[] = [
      (chunk, to) => {
        chunk[chunk.length - 1] = (chunk.at(-1) ?? 0) ^ 1;
        to.write(chunk);
      },
      (chunk, to) => {
        to.write(chunk);
        to.write(chunk);
      },
    ];
    for (const trick of tricks) {
      const owner = await open();
      let isOn = false;
      const middle = await between(owner.port, (chunk, from, to) => {
        if (isOn && from === 'caller') trick(chunk, to);
        else to.write(chunk);
      });
      const caller = await open();
      send(caller, middle);
      await until(() => owner.seen.asked.length === 1);
      isOn = true;
      send(caller, middle, order('forged'));
      await until(() => owner.seen.events.includes('caller lost') && caller.seen.events.includes('gone'));
      expect(owner.seen.asked.length).toBeLessThanOrEqual(2);
      expect(caller.seen.answered).toEqual([]);
    }
  });

  it('is sent nothing, at an address that was taken over: neither with a certificate, nor with none', async () => {
    const dir = await tempDir();
    const made = spawnSync(
      'openssl',
      ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'k.pem', '-out', 'c.pem', '-subj', '/CN=127.0.0.1'],
      {
        cwd: dir,
      },
    );
    expect(made.status).toBe(0);
    const heard: Buffer[] = [];
    const hear = (socket: Socket): void => void socket.on('data', (chunk: Buffer) => heard.push(chunk)).on('error', () => undefined);
    const certified = createTlsServer({ key: readFileSync(join(dir, 'k.pem')), cert: readFileSync(join(dir, 'c.pem')) }, hear);
    const guessing = createTlsServer({ pskCallback: () => randomBytes(32), ciphers: 'TLS_AES_128_GCM_SHA256' }, hear);
    for (const server of [certified, guessing]) {
      server.on('tlsClientError', () => undefined);
      const caller = await open();
      send(caller, `127.0.0.1:${await listening(server)}`, order('private'));
      await until(() => caller.seen.events.includes('unreached'));
      expect(caller.peers.figures).toMatchObject({ sent: 0, unreachable: 1 });
    }
    expect(heard).toEqual([]);
  });

  it('cannot keep hosts out by connections that say nothing', async () => {
    const owner = await open();
    const idle = Array.from({ length: 200 }, () => connect(owner.port, '127.0.0.1'));
    const cut = Promise.all(idle.map(isCut));
    await until(() => owner.peers.figures.refused >= 100);
    await cut;
    const caller = await open();
    send(caller, owner.address);
    await until(() => owner.seen.asked.length === 1);
    expect(owner.peers.figures.in).toBe(1);
  });
});

describe('a host that knows the secret and breaks the rules', () => {
  it.each([
    ['a frame beyond the largest', (socket: Socket): unknown => socket.write(Buffer.from([0xff, 0xff, 0xff, 0x7f]))],
    ['no message at all', (socket: Socket): unknown => socket.write(framed(randomBytes(40)))],
    [
      'an order for the workers of this host alone',
      (socket: Socket): unknown => say(socket, { type: 'session', what: 'oldest', call: 1, server: 'program', caller: null }),
    ],
    ['a call for shared children', (socket: Socket): unknown => say(socket, { type: 'want', server: 'program' })],
    ['offsets beyond its message', (socket: Socket): unknown => say(socket, bent())],
    ['news without names', (socket: Socket): unknown => say(socket, { type: 'news', news: { touched: [{}], ended: [], cancelled: [] } })],
  ])('is cut off: %s', async (_what, speak) => {
    const owner = await open();
    const socket = await insider(owner);
    await until(() => owner.peers.figures.in === 1);
    const cut = isCut(socket);
    speak(socket);
    await cut;
    await until(() => owner.peers.figures.in === 0);
    expect([owner.seen.asked, owner.seen.told]).toEqual([[], []]);
  });
});

function say(socket: Socket, value: unknown): void {
  new PeerLine(socket, MAX_FRAME_BYTES, { message: () => true, closed: () => undefined }).send({ value, bytes: 0 });
}

function bent(): unknown {
  const packed = packToOwner(order('a')) as { readonly parts: readonly unknown[] };
  return { ...packed, parts: packed.parts.map((part) => (typeof part === 'number' ? part + 100_000 : part)) };
}
