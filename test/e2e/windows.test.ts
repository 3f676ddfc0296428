import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tempDir } from './harness.ts';
import { decisionsIn, excessOf } from './windows.ts';

const RATE = { perSecond: 1000, burst: 500 };

/** A bucket that is emptied at once and spent at its rate from then on, for a minute. */
const GREEDY: readonly number[] = Array.from({ length: 500 + 60_000 }, (_, index) => (index < 500 ? 0 : index - 499));

function record(ms: number, more: object = {}): string {
  const closing = { event_type: 'request', worker: 1, request_id: `r-${ms}`, identity: 'alice', decision: 'allow', decided_ms: ms };
  return `${JSON.stringify({ ...closing, duration_ms: 1, ...more })}\n`;
}

describe('excessOf', () => {
  it('lets the greediest caller that keeps to its limit pass', () => {
    expect(excessOf(GREEDY, RATE)).toBeLessThanOrEqual(0);
  });

  it('finds a single admission too many, wherever in a minute it was planted', () => {
    for (const ms of [0, 1, 30_000.5, 59_999]) expect(excessOf([...GREEDY, ms], RATE)).toBeGreaterThan(0);
  });

  it('finds a second burst in the middle, although the minute as a whole admits no more than it may', () => {
    const idle = GREEDY.filter((ms) => ms < 20_000 || ms >= 22_000);
    const planted = [...idle, ...Array.from({ length: 1000 }, (_, index) => 21_999 + index / 1000)];
    expect(planted.length).toBeLessThan(GREEDY.length);
    expect(excessOf(planted, RATE)).toBeGreaterThan(400);
  });

  it('finds what four workers admit that each keep the whole limit', () => {
    expect(excessOf([...GREEDY, ...GREEDY, ...GREEDY, ...GREEDY], RATE)).toBeGreaterThan(3 * 60_000);
  });
});

describe('decisionsIn', () => {
  it('reads what several trails say of one principal, in the order of time', async () => {
    const dir = await tempDir();
    const files = [join(dir, 'a'), join(dir, 'b')];
    const login = '{"event_type":"auth_success","request_id":"r","identity":"alice","decision":"allow"}\n';
    await writeFile(files[0] as string, login + record(30) + record(10) + record(20, { identity: 'bob' }));
    await writeFile(files[1] as string, record(25, { decision: 'deny' }));
    const decisions = await decisionsIn(files, 'alice');
    expect(decisions.map(({ ms, isAdmitted }) => [ms, isAdmitted])).toEqual([
      [10, true],
      [25, false],
      [30, true],
    ]);
  });

  it('refuses a trail that does not say when a request was decided', async () => {
    const file = join(await tempDir(), 'a');
    await writeFile(file, record(1) + record(2, { decided_ms: undefined }));
    await expect(decisionsIn([file], 'alice')).rejects.toThrow('no time of decision');
  });
});
