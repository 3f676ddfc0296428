import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { PoolSettings } from '../../src/core/config.ts';
import type { Upstream } from '../../src/core/upstream.ts';
import { buildRegistry, type Registry } from '../../src/upstream/registry.ts';
import { FakeClock } from './fake-clock.ts';
import { call, RecordedEvents, registryDeps, resultOf, stdioSettings, until } from './support.ts';

const FIXTURE = join(import.meta.dirname, '..', 'e2e', 'fixtures', 'eras-stdio.ts');
const POOL: PoolSettings = {
  isolation: 'shared',
  min: 0,
  max: 2,
  queueMs: 2000,
  childCalls: 0,
  idleMs: 3_600_000_000,
  recycleCalls: 0,
  recycleBytes: 0,
};
const MINUTE_MS = 60_000;

interface Place {
  readonly clock: FakeClock;
  readonly registry: Registry;
  readonly upstream: Upstream;
  /** `initialize` messages since it is known that the server takes none. */
  handshakes(): number;
  /** From now on the server takes handshakes, too. */
  grow(): Promise<void>;
}

const opened: { readonly registry: Registry; readonly folder: string; readonly ticking: NodeJS.Timeout }[] = [];
afterEach(async () => {
  for (const { registry, folder, ticking } of opened.splice(0)) {
    await registry.close();
    clearInterval(ticking);
    await rm(folder, { recursive: true });
  }
});

/** A server that speaks only the newer revision at first. */
async function place(pool: Partial<PoolSettings> = {}): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'pool-'));
  const record = join(folder, 'record');
  await writeFile(record, '');
  await writeFile(`${record}.early`, '');
  const clock = new FakeClock();
  // Processes end in real time; the minutes are skipped.
  const ticking = setInterval(() => clock.advance(10), 10);
  const args = ['--disable-warning=ExperimentalWarning', FIXTURE, 'late', record];
  const deadlines = { timeoutMs: 20 * MINUTE_MS, timeoutMaxMs: 20 * MINUTE_MS };
  const settings = stdioSettings({ args, pool: { ...POOL, ...pool } }, { name: 'late', ...deadlines });
  const registry = buildRegistry([settings], registryDeps(new RecordedEvents(), clock));
  opened.push({ registry, folder, ticking });
  const [upstream] = registry.list;
  if (upstream === undefined) throw new Error('no such server');
  await until(() => upstream.modern !== null, 'it is known to speak the newer revision');
  await until(() => registry.children().length === 1, 'the child that was not shaken hands with is gone');
  const count = (): number => readFileSync(record, 'utf8').split('"initialize"').length;
  const before = count();
  return {
    clock,
    registry,
    upstream,
    handshakes: () => count() - before,
    grow: async () => await rm(`${record}.early`),
  };
}

/** By which kind of child a call of an older revision is served. */
async function eraOf(upstream: Upstream): Promise<string> {
  const { content } = (await resultOf(upstream, call('tools/call', { name: 'whoami', arguments: {} }))) as { content: { text: string }[] };
  return (JSON.parse(content[0]?.text ?? '{}') as { era: string }).era;
}

async function settled(of: Place, handshakes: number): Promise<void> {
  await until(() => of.handshakes() === handshakes, `${handshakes} handshakes`);
  await until(() => of.registry.children().length === 1, 'the child that tried is gone');
}

describe('a pool whose server takes no handshake, but speaks the revision that needs none', () => {
  it('tries one again, less and less often, while calls of older revisions are served as before', async () => {
    const one = await place();
    const { clock, upstream } = one;
    expect([one.handshakes(), await eraOf(upstream)]).toEqual([0, 'modern']);
    clock.advance(4 * MINUTE_MS);
    expect(one.handshakes()).toBe(0);
    clock.advance(MINUTE_MS + 1000);
    // While it tries.
    expect([upstream.state, await eraOf(upstream)]).toEqual(['ready', 'modern']);
    await settled(one, 1);
    clock.advance(6 * MINUTE_MS);
    expect(one.handshakes()).toBe(1);
    clock.advance(5 * MINUTE_MS);
    await settled(one, 2);
    expect(await eraOf(upstream)).toBe('modern');
  });

  it('serves calls of older revisions by children that took one as soon as the server takes it', async () => {
    const one = await place();
    await one.grow();
    one.clock.advance(5 * MINUTE_MS + 1000);
    await until(() => one.handshakes() === 1 && one.registry.children().length === 2, 'a child that is shaken hands with');
    let era = '';
    for (let turn = 0; turn < 100 && era !== 'legacy'; turn += 1) era = await eraOf(one.upstream);
    expect(era).toBe('legacy');
    one.clock.advance(25 * MINUTE_MS);
    expect(one.handshakes()).toBe(1);
  });

  it('ends no child that works for that: without a free seat it waits', async () => {
    const one = await place({ max: 1 });
    const [before] = one.upstream.pids;
    one.clock.advance(30 * MINUTE_MS);
    expect([one.handshakes(), one.upstream.pids]).toEqual([0, [before]]);
  });

  it('ends none of a caller of its own either', async () => {
    const one = await place({ isolation: 'principal', max: 1 });
    expect(await eraOf(one.upstream)).toBe('modern');
    const [before] = one.upstream.pids;
    one.clock.advance(30 * MINUTE_MS);
    await setTimeout(300);
    expect([one.handshakes(), one.upstream.pids]).toEqual([0, [before]]);
  });
});
