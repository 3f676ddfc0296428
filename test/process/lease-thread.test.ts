import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { LeaseAccess } from '../../src/core/messages.ts';
import { applyGrant, BYTES_PER_LEASE, generationOf, leaseMemory, levelOf, resetLease } from '../../src/limit/lease-memory.ts';
import type { LeaseAnswers, LeaseBatch, LeaseClient, LeaseRecall, SlotAsk } from '../../src/limit/lease-port.ts';
import { MemoryAuthority } from '../../src/limit/memory-authority.ts';
import { LeaseServer } from '../../src/process/lease-server.ts';
import { LeaseThread } from '../../src/process/lease-thread.ts';
import { silentLog, until } from './support.ts';

const SPEC = { perSecond: 0.001, burst: 10, failMode: 'local' } as const;

/** The limiter's part: shared buckets, and what it was told. */
class Client implements LeaseClient {
  readonly buffer = new SharedArrayBuffer(8 * BYTES_PER_LEASE);
  readonly memory = leaseMemory(this.buffer);
  readonly answers: LeaseAnswers[] = [];
  /** Levels of slot 0 at the time of each answer. */
  readonly levels: number[] = [];
  readonly recalls: LeaseRecall[] = [];
  lossCount = 0;
  connectionCount = 0;

  connected(): void {
    this.connectionCount += 1;
  }

  answered(answers: LeaseAnswers): void {
    this.answers.push(answers);
    this.levels.push(levelOf(this.memory, 0));
  }

  recalled(recalls: readonly LeaseRecall[]): void {
    this.recalls.push(...recalls);
  }

  disconnected(): void {
    this.lossCount += 1;
  }
}

interface Station {
  readonly authority: MemoryAuthority;
  readonly server: LeaseServer;
}

const stations: Station[] = [];
const threads: LeaseThread[] = [];
const failures: Error[] = [];

async function openStation(): Promise<Station> {
  const authority = new MemoryAuthority({ holders: 2, capacity: 100, idleTtlMs: 10_000, clock: systemClock });
  const station = { authority, server: await LeaseServer.open(authority, 2, silentLog) };
  stations.push(station);
  return station;
}

function startThread(access: LeaseAccess): { readonly thread: LeaseThread; readonly client: Client } {
  const thread = new LeaseThread(access, { failed: (error) => failures.push(error) });
  const client = new Client();
  thread.attach(client);
  threads.push(thread);
  return { thread, client };
}

function askFor(want: number, change: Partial<SlotAsk> = {}): SlotAsk {
  return { slot: 0, generation: 0, key: 'api_key:alice', limit: 'principal', spec: SPEC, want, atLeast: 1, have: 0, ahead: 0, ...change };
}

function batchOf(asks: readonly SlotAsk[], change: Partial<LeaseBatch> = {}): LeaseBatch {
  return { stamp: 0, sentMs: 1, isReset: false, returns: [], asks, ...change };
}

afterEach(async () => {
  await Promise.all(threads.splice(0).map((thread) => thread.close()));
  for (const { server } of stations.splice(0)) server.close();
  failures.length = 0;
});

describe('LeaseThread', () => {
  it('adds a grant to the shared buckets before the event loop hears of it', async () => {
    const { server } = await openStation();
    const { thread, client } = startThread(server.admit(0));
    await until(() => thread.stats.isConnected);
    thread.send(batchOf([askFor(4)]));
    await until(() => client.answers.length === 1);
    expect(client.levels).toEqual([4]);
    expect(client.answers[0]?.answers).toEqual([{ slot: 0, generation: 0, granted: 4, left: 6, waitMs: 0, mode: 'remote' }]);
  });

  it('shares one budget among workers', async () => {
    const { server } = await openStation();
    const [one, other] = [startThread(server.admit(0)), startThread(server.admit(1))];
    await until(() => one.thread.stats.isConnected && other.thread.stats.isConnected);
    one.thread.send(batchOf([askFor(7)]));
    await until(() => one.client.answers.length === 1);
    other.thread.send(batchOf([askFor(7)]));
    await until(() => other.client.answers.length === 1);
    expect([levelOf(one.client.memory, 0), levelOf(other.client.memory, 0)]).toEqual([7, 3]);
  });

  it('grants nothing to the next owner of a slot', async () => {
    const { server } = await openStation();
    const { thread, client } = startThread(server.admit(0));
    await until(() => thread.stats.isConnected);
    thread.send(batchOf([askFor(4)]));
    resetLease(client.memory, 0);
    await until(() => client.answers.length === 1);
    expect([levelOf(client.memory, 0), generationOf(client.memory, 0)]).toEqual([0, 1]);
  });

  it('drops what is sent before there is a connection', async () => {
    const { server, authority } = await openStation();
    const { thread, client } = startThread(server.admit(0));
    thread.send(batchOf([askFor(1)]));
    await until(() => thread.stats.isConnected);
    thread.send(batchOf([]));
    await until(() => client.answers.length === 1);
    expect(authority.stats.asks).toBe(0);
  });

  it('says once that the connection is lost, answers nothing of before, and connects again by itself', async () => {
    const station = await openStation();
    const access = station.server.admit(0);
    const { thread, client } = startThread(access);
    await until(() => thread.stats.isConnected);
    // A second connection with the same token ends the first, as the primary sees it.
    const rival = startThread(access);
    await until(() => client.lossCount === 1);
    await rival.thread.close();
    await until(() => thread.stats.isConnected);
    const { lossCount } = client;
    thread.send(batchOf([askFor(2)]));
    await until(() => client.answers.length === 1);
    expect([client.lossCount, client.connectionCount]).toEqual([lossCount, lossCount + 1]);
    expect(thread.stats).toEqual({ isConnected: true, disconnects: lossCount, restarts: 0 });
  });

  it('keeps trying, without a word to the limiter, while nobody listens', async () => {
    const first = await openStation();
    const access = first.server.admit(0);
    const { thread, client } = startThread(access);
    await until(() => thread.stats.isConnected);
    first.server.close();
    await until(() => client.lossCount === 1);
    for (let round = 0; round < 100; round++) thread.send(batchOf([askFor(1)]));
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(client.lossCount).toBe(1);
    expect(client.answers).toEqual([]);
    expect(failures).toEqual([]);
  });

  it('is started anew when it dies, with the same buckets', async () => {
    const { server } = await openStation();
    const { thread, client } = startThread(server.admit(0));
    await until(() => thread.stats.isConnected);
    thread.send(batchOf([askFor(4)]));
    await until(() => client.answers.length === 1);
    thread.kill();
    await until(() => client.lossCount === 1);
    await until(() => thread.stats.isConnected);
    thread.send(batchOf([askFor(2, { have: 4 })]));
    await until(() => client.answers.length === 2);
    expect(levelOf(client.memory, 0)).toBe(6);
    expect(thread.stats.restarts).toBe(1);
  });

  it('is not let in with a wrong token, and does no harm by trying', async () => {
    const { server, authority } = await openStation();
    const { thread, client } = startThread({ ...server.admit(0), token: new Uint8Array(32) });
    await until(() => server.stats.faults > 1);
    thread.send(batchOf([askFor(1)]));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(client.answers).toEqual([]);
    expect(authority.stats.asks).toBe(0);
  });

  it('brings recalls after what was granted before, and their answers', async () => {
    const { server, authority } = await openStation();
    const fast = { perSecond: 1000, burst: 10, failMode: 'local' } as const;
    const ahead = { spec: fast, atLeast: 2, ahead: 2 };
    const one = startThread(server.admit(0));
    const other = startThread(server.admit(1));
    await until(() => one.thread.stats.isConnected && other.thread.stats.isConnected);
    one.thread.send(batchOf([askFor(2, ahead)]));
    await until(() => one.client.answers.length === 1);
    expect(one.client.levels).toEqual([2]);
    other.thread.send(batchOf([askFor(10, { spec: fast, atLeast: 10 })]));
    await until(() => one.client.recalls.length === 1);
    const [{ key, recall } = { key: '', recall: 0 }] = one.client.recalls;
    expect(key).toBe('api_key:alice');
    one.thread.send(batchOf([], { returns: [{ key, tokens: 2, have: 0, recall }] }));
    await until(() => other.client.answers.some(({ answers }) => answers.length === 1));
    // On a machine that is busy the first ask may have been given up.
    other.thread.send(batchOf([askFor(10, { spec: fast, atLeast: 10 })]));
    await until(() => other.client.answers.some(({ answers }) => answers.some(({ granted }) => granted === 10)));
    expect(one.client.recalls).toHaveLength(1);
    expect(authority.stats.tokens).toBeGreaterThanOrEqual(12);
  });

  it('lets the last batch leave before it ends', async () => {
    const { server, authority } = await openStation();
    const one = startThread(server.admit(0));
    await until(() => one.thread.stats.isConnected);
    one.thread.send(batchOf([askFor(10)]));
    await until(() => one.client.answers.length === 1);
    one.thread.send(batchOf([], { returns: [{ key: 'api_key:alice', tokens: 10, have: 0, recall: 0 }] }));
    await one.thread.close();
    await until(() => server.stats.connected === 0);
    const other = startThread(server.admit(1));
    await until(() => other.thread.stats.isConnected);
    other.thread.send(batchOf([askFor(10)]));
    await until(() => other.client.answers.length === 1);
    expect(levelOf(other.client.memory, 0)).toBe(10);
    expect(authority.stats.tokens).toBe(20);
  });

  it('is ready with the first answer, and after a second without one', async () => {
    const { server } = await openStation();
    const { thread, client } = startThread(server.admit(0));
    await until(() => thread.stats.isConnected);
    thread.send(batchOf([], { isReset: true }));
    await thread.ready();
    expect(client.answers).toHaveLength(1);
    const fromMs = performance.now();
    await startThread({ path: '/nowhere', token: new Uint8Array(32) }).thread.ready();
    expect(performance.now() - fromMs).toBeGreaterThan(900);
  });

  it('carries a thousand batches in their order', async () => {
    const { server, authority } = await openStation();
    const { thread, client } = startThread(server.admit(0));
    await until(() => thread.stats.isConnected);
    for (let round = 1; round <= 1000; round++) thread.send(batchOf([askFor(1, { key: `k${round}` })], { sentMs: round }));
    await until(() => client.answers.at(-1)?.sentMs === 1000);
    const sent = client.answers.map(({ sentMs }) => sentMs);
    expect(sent).toEqual(sent.toSorted((one, other) => one - other));
    expect(authority.stats.asks).toBe(1000);
  });

  it('leaves the buckets alone that it does not know', () => {
    const memory = leaseMemory(new SharedArrayBuffer(BYTES_PER_LEASE));
    expect([applyGrant(memory, 1, 0, 5), applyGrant(memory, -1, 0, 5), applyGrant(memory, 0, 1, 5)]).toEqual([0, 0, 0]);
    expect(levelOf(memory, 0)).toBe(0);
  });
});
