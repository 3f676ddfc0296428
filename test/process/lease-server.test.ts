import { createConnection, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { LeaseAnswer, LeaseAsk, LimitAuthority, SendRecall } from '../../src/core/limit.ts';
import type { LeaseAccess } from '../../src/core/messages.ts';
import type { LeaseAnswers, LeaseBatch, LeaseRecall, SlotAsk } from '../../src/limit/lease-port.ts';
import { FrameReader, framed } from '../../src/process/frames.ts';
import { readAnswers, readRecalls } from '../../src/process/lease-answers.ts';
import { writeBatch } from '../../src/process/lease-batches.ts';
import { LeaseServer } from '../../src/process/lease-server.ts';
import { silentLog, until } from './support.ts';

const ASK: SlotAsk = {
  slot: 3,
  generation: 9,
  key: 'api_key:alice',
  limit: 'principal',
  spec: { perSecond: 10, burst: 20, failMode: 'local' },
  want: 5,
  atLeast: 1,
  have: 2,
  ahead: 4,
};

/** Writes down what it is asked, in order; answers when told to. */
class RecordingAuthority implements LimitAuthority {
  readonly calls: string[] = [];
  readonly open: ((answer: LeaseAnswer) => void)[] = [];
  isPrompt = true;
  recall: SendRecall = () => false;
  size = 0;

  ask(holder: number, ask: LeaseAsk, answer: (answer: LeaseAnswer) => void): void {
    this.calls.push(`ask ${holder} ${ask.key} ${ask.want}`);
    if (this.isPrompt) answer({ granted: ask.want, waitMs: 0, left: 15, mode: 'remote' });
    else this.open.push(answer);
  }

  giveBack(holder: number, key: string, tokens: number, have: number): void {
    this.calls.push(`give back ${holder} ${key} ${tokens} ${have}`);
  }

  recalled(holder: number, key: string, recall: number): void {
    this.calls.push(`recalled ${holder} ${key} ${recall}`);
  }

  startRecalls(send: SendRecall): void {
    this.recall = send;
  }

  lost(holder: number): void {
    this.calls.push(`lost ${holder}`);
  }

  heard(holder: number, stamp: number): void {
    this.calls.push(`heard ${holder} ${stamp}`);
  }

  stampFor(holder: number): number {
    return 1000 + holder;
  }

  sweep(): void {
    this.calls.push('sweep');
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** A worker's end, by hand. */
class Client {
  readonly socket: Socket;
  readonly answers: LeaseAnswers[] = [];
  /** Frame by frame. */
  readonly recalls: (readonly LeaseRecall[])[] = [];
  readonly closed: Promise<void>;

  constructor(path: string) {
    this.socket = createConnection(path);
    const reader = new FrameReader();
    this.socket.on('data', (chunk) => {
      reader.push(chunk, (frame) => {
        const answers = readAnswers(frame);
        if (answers === null) this.recalls.push(readRecalls(frame) as LeaseRecall[]);
        else this.answers.push(answers);
      });
    });
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
    this.socket.on('error', () => undefined);
  }

  send(change: Partial<LeaseBatch>): void {
    this.socket.write(framed(writeBatch({ stamp: 7, sentMs: 8, isReset: false, returns: [], asks: [], ...change }, 0)));
  }

  async answered(count: number): Promise<LeaseAnswers[]> {
    await until(() => this.answers.length >= count);
    return this.answers;
  }
}

const authority = { now: new RecordingAuthority() };
const servers: LeaseServer[] = [];
const clients: Client[] = [];

async function open(workers = 2): Promise<LeaseServer> {
  authority.now = new RecordingAuthority();
  const server = await LeaseServer.open(authority.now, workers, silentLog);
  servers.push(server);
  return server;
}

function connect({ path, token }: LeaseAccess): Client {
  const client = new Client(path);
  clients.push(client);
  client.socket.write(framed(token));
  return client;
}

afterEach(() => {
  for (const client of clients.splice(0)) client.socket.destroy();
  for (const server of servers.splice(0)) server.close();
});

describe('LeaseServer', () => {
  it('hands a batch to the authority in the order that the bound depends on', async () => {
    const server = await open();
    const client = connect(server.admit(1));
    client.send({ isReset: true });
    client.send({ stamp: 9, returns: [{ key: 'k', tokens: 2, have: 1, recall: 0 }], asks: [ASK] });
    await client.answered(1);
    await until(() => authority.now.calls.length === 5);
    expect(authority.now.calls).toEqual(['lost 1', 'heard 1 7', 'heard 1 9', 'give back 1 k 2 1', 'ask 1 api_key:alice 5']);
  });

  it('answers with the slot of the ask, the stamp of the authority and the time of the batch', async () => {
    const server = await open();
    const client = connect(server.admit(0));
    client.send({ sentMs: 42, asks: [ASK] });
    expect(await client.answered(1)).toEqual([
      { stamp: 1000, sentMs: 42, answers: [{ slot: 3, generation: 9, granted: 5, left: 15, waitMs: 0, mode: 'remote' }] },
    ]);
  });

  it('answers a batch at once, even an empty one, and late asks when they are decided', async () => {
    const server = await open();
    authority.now.isPrompt = false;
    const client = connect(server.admit(0));
    client.send({ asks: [ASK, { ...ASK, slot: 4 }] });
    expect((await client.answered(1))[0]?.answers).toEqual([]);
    for (const answer of authority.now.open) answer({ granted: 0, waitMs: 5, left: 0, mode: 'closed' });
    expect((await client.answered(2))[1]?.answers.map(({ slot, mode }) => [slot, mode])).toEqual([
      [3, 'closed'],
      [4, 'closed'],
    ]);
  });

  it('calls back as many keys in one turn as there are, in order', async () => {
    const server = await open();
    const client = connect(server.admit(0));
    client.send({});
    await client.answered(1);
    const keys = Array.from({ length: 3000 }, (_, n) => `api_key:caller-${n}`);
    expect(keys.filter((key, n) => !authority.now.recall(0, key, n + 1))).toEqual([]);
    await until(() => client.recalls.flat().length === keys.length);
    expect(client.recalls.flat()).toEqual(keys.map((key, n) => ({ key, recall: n + 1 })));
    expect(Math.max(...client.recalls.map((frame) => frame.length))).toBe(1024);
  });

  it('calls back no more than a worker may let wait, and does not take it for stuck', async () => {
    const server = await open();
    const client = connect(server.admit(0));
    client.send({});
    await client.answered(1);
    const key = '\u00e9'.repeat(256);
    const sent = Array.from({ length: 3000 }, (_, n) => authority.now.recall(0, key, n + 1)).filter(Boolean).length;
    expect(sent).toBe(Math.floor(524_288 / (512 + 6)));
    await until(() => client.recalls.flat().length === sent);
    expect([server.stats, authority.now.recall(0, key, 1)]).toEqual([{ connected: 1, faults: 0 }, true]);
  });

  it('lets nobody in without a token of a living worker', async () => {
    const server = await open();
    const { path, token } = server.admit(0);
    const wrong = [new Uint8Array(32), token.slice(0, 31), new Uint8Array([...token, 0]), new TextEncoder().encode('0')];
    for (const guess of wrong) {
      const client = connect({ path, token: guess });
      client.send({ asks: [ASK] });
      await client.closed;
    }
    expect(authority.now.calls).toEqual([]);
    expect(server.stats).toEqual({ connected: 0, faults: wrong.length });
  });

  it('forgets the token of a worker that ended, and gives each worker another', async () => {
    const server = await open();
    const first = server.admit(0);
    const client = connect(first);
    client.send({});
    await client.answered(1);
    server.dismiss(0);
    await client.closed;
    const second = server.admit(0);
    expect(second.token).not.toEqual(first.token);
    const ghost = connect(first);
    await ghost.closed;
    const successor = connect(second);
    successor.send({});
    await successor.answered(1);
    expect(authority.now.calls).toEqual(['heard 0 7', 'lost 0', 'heard 0 7']);
  });

  it('reads nothing of a dead worker after it was given up, not even what had arrived', async () => {
    const server = await open();
    const client = connect(server.admit(0));
    client.send({});
    await client.answered(1);
    client.send({ asks: [ASK] });
    await new Promise((resolve) => client.socket.write('', resolve));
    server.dismiss(0);
    await client.closed;
    await sleep(20);
    expect(authority.now.calls).toEqual(['heard 0 7', 'lost 0']);
  });

  it('keeps what a worker holds when only its connection is lost', async () => {
    const server = await open();
    const access = server.admit(0);
    const client = connect(access);
    client.send({});
    await client.answered(1);
    client.socket.destroy();
    await until(() => server.stats.connected === 0);
    const again = connect(access);
    again.send({});
    await again.answered(1);
    expect(authority.now.calls).toEqual(['heard 0 7', 'heard 0 7']);
  });

  it('ends the former connection of a worker that connects anew, and drops the answers due there', async () => {
    const server = await open();
    authority.now.isPrompt = false;
    const access = server.admit(0);
    const former = connect(access);
    former.send({ asks: [ASK] });
    await former.answered(1);
    const client = connect(access);
    client.send({});
    await client.answered(1);
    await former.closed;
    for (const answer of authority.now.open) answer({ granted: 5, waitMs: 0, left: 0, mode: 'remote' });
    await sleep(20);
    expect(client.answers.flatMap(({ answers }) => answers)).toEqual([]);
    expect(server.stats).toEqual({ connected: 1, faults: 0 });
  });

  it('cuts a connection that speaks another language', async () => {
    const server = await open();
    const access = server.admit(0);
    for (const noise of [framed(new Uint8Array(5)), Buffer.from('GET / HTTP/1.1\r\n\r\n'), new Uint8Array(4)]) {
      const client = connect(access);
      client.socket.write(noise);
      await client.closed;
    }
    expect(server.stats).toEqual({ connected: 0, faults: 3 });
    expect(authority.now.calls).toEqual([]);
  });

  it('cuts a connection whose answers nobody reads, and keeps only so many bytes for it', async () => {
    const server = await open();
    const client = connect(server.admit(0));
    client.send({});
    await client.answered(1);
    client.socket.pause();
    const asks = Array.from({ length: 1024 }, (_, slot) => ({ ...ASK, slot }));
    const batch = framed(writeBatch({ stamp: 1, sentMs: 1, isReset: false, returns: [], asks }, 0));
    for (let round = 0; round < 200 && !client.socket.destroyed; round++) client.socket.write(batch);
    await until(() => server.stats.faults === 1);
    expect(server.stats.connected).toBe(0);
    const answered = authority.now.calls.filter((call) => call.startsWith('ask')).length;
    expect(answered * 23).toBeLessThan(4 * 1024 * 1024);
  });

  it('does not wait for ever for who does not say who it is, and takes only so many of them', async () => {
    const server = await open(1);
    const { path } = server.admit(0);
    const strangers = Array.from({ length: 12 }, () => new Client(path));
    clients.push(...strangers);
    await Promise.all(strangers.map(({ closed }) => closed));
    const client = connect(server.admit(0));
    client.send({});
    expect(await client.answered(1)).toHaveLength(1);
  });

  it('keeps workers apart', async () => {
    const server = await open();
    const [one, other] = [connect(server.admit(0)), connect(server.admit(1))];
    one.send({ asks: [ASK] });
    other.send({ asks: [ASK] });
    await Promise.all([one.answered(1), other.answered(1)]);
    expect(authority.now.calls.toSorted()).toEqual(['ask 0 api_key:alice 5', 'ask 1 api_key:alice 5', 'heard 0 7', 'heard 1 7']);
    expect([one.answers[0]?.stamp, other.answers[0]?.stamp]).toEqual([1000, 1001]);
    expect(server.stats.connected).toBe(2);
  });

  it('ends every connection when it is closed', async () => {
    const server = await open();
    const access = server.admit(0);
    const known = connect(access);
    known.send({});
    await known.answered(1);
    const stranger = new Client(access.path);
    clients.push(stranger);
    await new Promise((resolve) => stranger.socket.once('connect', resolve));
    server.close();
    await Promise.all([known.closed, stranger.closed]);
    expect(server.stats.connected).toBe(0);
  });
});
