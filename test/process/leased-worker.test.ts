import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { Charge, Limiter, LimitOutcome, Take } from '../../src/core/limit.ts';
import type { RateLimitSettings } from '../../src/core/config.ts';
import type { FailMode } from '../../src/core/principal.ts';
import { buildLimiter } from '../../src/limit/build.ts';
import { MemoryAuthority } from '../../src/limit/memory-authority.ts';
import { LeaseServer } from '../../src/process/lease-server.ts';
import { LeaseThread } from '../../src/process/lease-thread.ts';
import { silentLog, until } from './support.ts';

const WORKERS = 2;
const BURST = 200;
const SETTINGS: RateLimitSettings = {
  isEnabled: true,
  default: { perSecond: 1, burst: 1, failMode: 'local' },
  isDeniedCounted: true,
  maxInFlight: 10,
  address: null,
  tools: [],
  perToolDefault: null,
  methods: [],
  maxIdentities: 100,
  idleTtlMs: 10_000,
};

function chargeOf(key: string, burst = BURST, failMode: FailMode = 'local'): readonly Charge[] {
  return [{ limit: 'principal', key, spec: { perSecond: 0.001, burst, failMode }, tokens: 1 }];
}

/** A worker as far as limits go: limiter, thread and socket are the real ones. */
class LimitedWorker {
  readonly thread: LeaseThread;
  readonly limiter: Limiter;
  readonly #outcome: LimitOutcome = {
    isAllowed: false,
    decidedBy: 'principal',
    limit: -1,
    remaining: 0,
    resetSecs: 0,
    retryAfterSecs: 0,
    mode: 'remote',
  };

  constructor(server: LeaseServer, slot: number) {
    this.thread = new LeaseThread(server.admit(slot), { failed: () => undefined });
    this.limiter = buildLimiter(SETTINGS, { clock: systemClock, workers: WORKERS, hosts: 1, port: this.thread });
  }

  /** As the request path does it. */
  async take(charges: readonly Charge[]): Promise<Take> {
    for (;;) {
      const taken = this.limiter.take(charges, systemClock.nowMs(), this.#outcome);
      if (taken !== 'unknown') return taken;
      await new Promise<void>((resolve) => this.limiter.whenKnown(charges, resolve));
    }
  }

  async takeMany(charges: readonly Charge[], count: number): Promise<number> {
    let taken = 0;
    for (let i = 0; i < count; i++) if ((await this.take(charges)) === 'taken') taken += 1;
    return taken;
  }

  async close(): Promise<void> {
    this.limiter.close();
    await this.thread.close();
  }
}

const closing: (() => Promise<void> | void)[] = [];

async function openWorkers(): Promise<{ authority: MemoryAuthority; server: LeaseServer; one: LimitedWorker; other: LimitedWorker }> {
  const authority = new MemoryAuthority({ holders: WORKERS, capacity: 200, idleTtlMs: 10_000, clock: systemClock });
  const server = await LeaseServer.open(authority, WORKERS, silentLog);
  const [one, other] = [new LimitedWorker(server, 0), new LimitedWorker(server, 1)];
  closing.push(
    () => one.close(),
    () => other.close(),
    () => server.close(),
  );
  await Promise.all([one.thread.ready(), other.thread.ready()]);
  return { authority, server, one, other };
}

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

describe('workers on real threads', () => {
  it('share a burst to the last token when one follows the other', async () => {
    const { one, other } = await openWorkers();
    const charges = chargeOf('small', 7);
    expect(await one.takeMany(charges, 4)).toBe(4);
    expect(await other.takeMany(charges, 10)).toBe(3);
    expect(await one.takeMany(charges, 10)).toBe(0);
  });

  it('never take more than the burst together, and strand at most a tenth', async () => {
    const { one, other } = await openWorkers();
    const charges = chargeOf('big');
    const counts = await Promise.all([one.takeMany(charges, 300), other.takeMany(charges, 300)]);
    const sum = counts.reduce((left, right) => left + right);
    expect(sum).toBeLessThanOrEqual(BURST);
    expect(sum).toBeGreaterThanOrEqual(BURST * 0.9);
  });

  it('return what they hold when they are drained, so that the others can spend it', async () => {
    const { one, other } = await openWorkers();
    const charges = chargeOf('big');
    expect(await one.takeMany(charges, 25)).toBe(25);
    expect(one.limiter.view(systemClock.nowMs(), 1)[0]?.leased).toBeGreaterThan(0);
    await one.close();
    expect(await other.takeMany(charges, 300)).toBe(BURST - 25);
  });

  it('lose what they hold with their thread, never gain by it, and go on with the next one', async () => {
    const { one, other } = await openWorkers();
    const charges = chargeOf('big');
    let taken = await one.takeMany(charges, 25);
    for (let round = 0; round < 3; round++) {
      one.thread.kill();
      await until(() => !one.thread.stats.isConnected);
      await until(() => one.thread.stats.isConnected);
      taken += await one.takeMany(charges, 10);
    }
    const all = taken + (await other.takeMany(charges, 300)) + (await one.takeMany(charges, 50));
    expect(all).toBeLessThanOrEqual(BURST);
    expect(all).toBeGreaterThanOrEqual(BURST * 0.9 - 3 * 10);
    expect(one.thread.stats).toEqual({ isConnected: true, disconnects: 3, restarts: 3 });
  });

  it('decide by the fail mode while their line is cut: after the first few waits at once', async () => {
    const { server, one } = await openWorkers();
    const closed = chargeOf('closed', 10, 'closed');
    expect(await one.take(closed)).toBe('taken');
    server.close();
    await until(() => !one.thread.stats.isConnected);
    const takes = new Set<Take>();
    const takeFor = async (ms: number): Promise<void> => {
      for (const endMs = performance.now() + ms; performance.now() < endMs; await sleep(1)) takes.add(await one.take(closed));
    };
    await takeFor(800);
    const { waits } = one.limiter.stats();
    await takeFor(800);
    expect(takes).toEqual(new Set(['refused']));
    expect(waits).toBeGreaterThan(0);
    expect(one.limiter.stats()).toMatchObject({ waits, mode: 'closed', waiting: 0 });
  });
});
