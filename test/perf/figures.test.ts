import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { judge, median } from '../../perf/lib/figures.ts';
import type { Budget, Rounds } from '../../perf/lib/figures.ts';
import type { Round } from '../../perf/lib/wrk.ts';

const round = (requestsPerSec: number): Round => ({ requestsPerSec, p50Ms: 1, p99Ms: 2, cpuUsPerRequest: 30 });
const rounds = (gateway: readonly number[], nginx: readonly number[]): Rounds => ({
  direct: [],
  nginx: nginx.map(round),
  gateway: gateway.map(round),
});
const budget: Budget = { figure: 'requestsPerSec', of: 'gateway', against: 'nginx', min: 0.5 };

describe('the figures of a perf run', () => {
  it('take the middle of an odd and between the middles of an even number', () => {
    expect([median([9, 1, 5]), median([4, 1, 2, 9]), median([])]).toEqual([5, 3, Number.NaN]);
  });

  it('compare round by round, so that a machine that slows down changes nothing', () => {
    expect(judge(budget, rounds([60, 30, 6], [100, 50, 10]))).toMatchObject({ ratio: 0.6, isMet: true });
    expect(judge(budget, rounds([40, 20, 4], [100, 50, 10]))).toMatchObject({ ratio: 0.4, isMet: false });
  });

  it('hold an upper bound too', () => {
    expect(judge({ figure: 'p99Ms', of: 'gateway', against: 'nginx', max: 0.9 }, rounds([1], [1])).isMet).toBe(false);
    expect(judge({ figure: 'p99Ms', of: 'gateway', against: 'nginx', max: 1 }, rounds([1], [1])).isMet).toBe(true);
  });

  it('meet no budget where nothing was measured', () => {
    expect(judge(budget, rounds([], [])).isMet).toBe(false);
    expect(judge(budget, rounds([50], [])).isMet).toBe(false);
    expect(judge(budget, rounds([50], [0])).isMet).toBe(false);
  });

  it('are bounded by every budget of the file', () => {
    const { smoke } = JSON.parse(readFileSync(new URL('../../perf/budgets.json', import.meta.url), 'utf8')) as { smoke: Budget[] };
    const figures = Object.keys(round(1));
    expect(smoke.length).toBeGreaterThan(0);
    expect(smoke.filter(({ figure, min, max }) => !figures.includes(figure) || (min === undefined) === (max === undefined))).toEqual([]);
  });
});
