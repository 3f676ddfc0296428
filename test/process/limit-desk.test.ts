import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { ConfigSnapshot, RedisSettings } from '../../src/core/config.ts';
import { LimitDesk } from '../../src/process/limit-desk.ts';
import { StartError } from '../../src/process/ports.ts';
import { silentLog } from './support.ts';

const REDIS: RedisSettings = {
  mode: 'single',
  nodes: [{ host: '127.0.0.1', port: 1 }],
  sentinelName: null,
  username: null,
  password: null,
  database: 0,
  prefix: 'mg:',
  tls: null,
  maxHosts: 2,
};

/** The parts of a configuration that decide about limits. */
function configOf(workers: number, change: { readonly isEnabled?: boolean; readonly redis?: RedisSettings } = {}): ConfigSnapshot {
  const { isEnabled = true, redis = null } = change;
  return { server: { workers }, rateLimit: { isEnabled, maxIdentities: 100, idleTtlMs: 1000 }, redis } as unknown as ConfigSnapshot;
}

const desks: LimitDesk[] = [];

async function open(config: ConfigSnapshot): Promise<LimitDesk | null> {
  const desk = await LimitDesk.open(config, silentLog);
  if (desk !== null) desks.push(desk);
  return desk;
}

afterEach(async () => {
  for (const desk of desks.splice(0)) await desk.close();
});

describe('LimitDesk', () => {
  it.each([
    ['no worker', configOf(0)],
    ['one worker', configOf(1)],
    ['limits switched off', configOf(4, { isEnabled: false })],
  ])('is not there with %s', async (_what, config) => {
    expect(await open(config)).toBeNull();
  });

  it('makes the primary the authority of several workers', async () => {
    const desk = await open(configOf(4));
    expect(desk?.figures()).toEqual({
      authority: { kind: 'primary', mode: 'remote', size: 0, asks: 0, denials: 0, recalls: 0, tokens: 0 },
      connected: 0,
      faults: 0,
    });
    const accesses = [desk?.admit(0), desk?.admit(1)];
    expect(accesses[0]?.path).toBe(accesses[1]?.path);
    expect(accesses[0]?.token).not.toEqual(accesses[1]?.token);
  });

  it('serves with a store even a single worker, and starts while the store is away', async () => {
    const desk = await open(configOf(0, { redis: REDIS }));
    await sleep(50);
    expect(desk?.figures().authority).toEqual({ kind: 'redis', mode: 'remote', size: 0, asks: 0, denials: 0, recalls: 0, tokens: 0 });
  });

  it('ends the start when the store cannot even be tried, and leaves nothing running', async () => {
    const tls = { caPath: '/nowhere/ca.pem', isVerified: true };
    const failed = LimitDesk.open(configOf(2, { redis: { ...REDIS, tls } }), silentLog);
    await expect(failed).rejects.toThrow(StartError);
    await expect(failed).rejects.toThrow(/redis\.url.*ca\.pem/);
  });
});
