import { once } from 'node:events';
import { createServer, connect, type Server, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { LeaseAnswer, LeaseAsk } from '../../src/core/limit.ts';
import type { LimitSpec } from '../../src/core/principal.ts';
import type { RedisSettings } from '../../src/core/config.ts';
import { RedisAuthority, type RedisAuthorityOptions } from '../../src/limit/redis-authority.ts';
import { RedisStore } from '../../src/store/redis-store.ts';
import { sleep, waitUntil } from '../e2e/wait.ts';

let serial = 0;

/** A host: an authority with a store of its own, swept as the primary does it; closed with the test. */
export class Host {
  readonly store: RedisStore;
  readonly authority: RedisAuthority;
  readonly #sweeping: { cancel(): void };

  constructor(settings: RedisSettings, options: Partial<RedisAuthorityOptions> = {}) {
    this.store = new RedisStore(settings);
    this.authority = new RedisAuthority({
      store: this.store,
      clock: systemClock,
      prefix: settings.prefix,
      holder: `host-${serial++}`,
      workers: 2,
      maxHosts: settings.maxHosts,
      maxKeys: 1000,
      ...options,
    });
    this.#sweeping = systemClock.every(500, () => this.authority.sweep(systemClock.nowMs()));
  }

  async close(): Promise<void> {
    this.#sweeping.cancel();
    await this.authority.close();
    await this.store.close();
  }
}

export async function openHost(settings: RedisSettings, options: Partial<RedisAuthorityOptions> = {}): Promise<Host> {
  const host = new Host(settings, options);
  onTestFinished(async () => await host.close());
  await waitUntil(() => host.store.state === 'ready', { what: 'the store', timeoutMs: 15_000 });
  const spec: LimitSpec = { perSecond: 1000, burst: 10, failMode: 'closed' };
  const isWarm = async (): Promise<boolean> => (await asked(host, { key: 'warm', spec })).mode === 'remote';
  await waitUntil(isWarm, { what: 'a warm host' });
  host.authority.giveBack(0, 'warm', 0, 0);
  return host;
}

export interface Answered extends LeaseAnswer {
  /** How long it took, and whether it came before `ask` returned. */
  readonly ms: number;
  readonly isSync: boolean;
}

export interface AskOptions {
  readonly key?: string;
  readonly spec: LimitSpec;
  readonly holder?: number;
  readonly want?: number;
  readonly atLeast?: number;
  readonly have?: number;
  readonly ahead?: number;
}

/** One ask, and what became of it. */
export async function asked(host: Host, options: AskOptions): Promise<Answered> {
  const { key = 'k', spec, holder = 0, atLeast = 1, want = atLeast, have = 0, ahead = 0 } = options;
  const ask: LeaseAsk = { key, limit: 'principal', spec, want, atLeast, have, ahead };
  const startMs = performance.now();
  return await new Promise((resolve) => {
    let isSync = true;
    host.authority.ask(holder, ask, (answer) => resolve({ ...answer, ms: performance.now() - startMs, isSync }));
    isSync = false;
  });
}

/** A worker that spends all it can get for a while, asking again when it is told to; returns the moments of what it spent. */
export async function spendAll(host: Host, options: AskOptions, untilMs: number): Promise<readonly number[]> {
  const spentMs: number[] = [];
  while (performance.now() < untilMs) {
    const { granted, waitMs } = await asked(host, options);
    const nowMs = performance.now();
    for (let token = 0; token < granted; token++) spentMs.push(nowMs);
    if (granted === 0) await sleep(Math.min(waitMs, 50));
  }
  return spentMs;
}

/** By how many tokens the worst window of these admissions exceeds burst + rate × time; below zero: never. */
export function excess(admittedMs: readonly number[], spec: LimitSpec): number {
  const times = admittedMs.toSorted((one, other) => one - other);
  let worst = Number.NEGATIVE_INFINITY;
  let least = Number.POSITIVE_INFINITY;
  for (const [index, ms] of times.entries()) {
    least = Math.min(least, index - (ms * spec.perSecond) / 1000);
    worst = Math.max(worst, index + 1 - (ms * spec.perSecond) / 1000 - least - spec.burst);
  }
  return worst;
}

export interface SlowProxy {
  readonly port: number;
  delayMs: number;
}

/** A TCP proxy that holds back what the server says. */
export async function slowProxy(targetPort: number): Promise<SlowProxy> {
  const sockets = new Set<Socket>();
  const proxy = { port: 0, delayMs: 0 };
  const server: Server = createServer((client) => {
    const target = connect(targetPort, '127.0.0.1');
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => [client, target].map((each) => each.destroy()));
    }
    client.on('data', (data) => target.write(data));
    target.on('data', (data) => void setTimeout(() => client.destroyed || client.write(data), proxy.delayMs));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  proxy.port = address.port;
  return proxy;
}
