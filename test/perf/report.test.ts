import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { judge } from '../../perf/lib/figures.ts';
import type { Budget, Measured } from '../../perf/lib/figures.ts';
import { readOptions } from '../../perf/lib/options.ts';
import { writePictures } from '../../perf/lib/pictures.ts';
import { publish } from '../../perf/lib/publish.ts';
import { amount, markdown } from '../../perf/lib/report.ts';
import type { Report } from '../../perf/lib/report.ts';

const machine = {
  cpu: 'A processor',
  cores: 2,
  memoryGb: 8,
  kernel: '6.1',
  node: '22.0.0',
  nginx: '1.22',
  wrk: '4.1.0',
  commit: 'abc',
  loadBefore: 0.1,
};
const latency: Measured = {
  direct: { 'p50Ms@2500': [0.2, 0.3], 'p99Ms@2500': [1, 2], 'p50Ms@5000': [0.3], 'p99Ms@5000': [2] },
  gateway: { 'p50Ms@2500': [0.4, 0.5], 'p99Ms@2500': [2, 3], 'p50Ms@5000': [0.6], 'p99Ms@5000': [5] },
};
const workers: Measured = {
  'nginx × 1': { requestsPerSec: [100] },
  'gateway × 1': { requestsPerSec: [60] },
  'nginx × 2': { requestsPerSec: [150] },
  'gateway × 2': { requestsPerSec: [110] },
};
const bounds: readonly Budget[] = [
  { promise: 'p99 added', figure: 'p99Ms@5000', of: 'gateway', against: 'direct', as: 'difference', max: 2, aim: 0.5 },
  { figure: 'p50Ms@5000', of: 'gateway', against: 'direct', max: 3, aim: 2.5 },
  { figure: 'p99Ms@9999', of: 'gateway', max: 3 },
];

function reportOf(args: readonly string[] = []): Report {
  const options = readOptions(args);
  const result = { shows: 'Something.', secs: 3, notes: ['A note.'], error: null };
  return {
    startedAt: '2026-01-02T03:04:05.678Z',
    machine,
    options,
    workers: 2,
    scenarios: [
      { ...result, name: 'open-loop', measured: latency, verdicts: bounds.map((bound) => judge(bound, latency, false)) },
      { ...result, name: 'workers', measured: workers, verdicts: [] },
      { ...result, name: 'broken', measured: {}, verdicts: [], error: 'nginx: 3 wrong answers\nand its output' },
    ],
  };
}

describe('the report', () => {
  it('names machine and commit, every bound with its verdict, and what failed', () => {
    const text = markdown(reportOf());
    expect(text).toContain('2026-01-02 03:04 UTC, commit abc.');
    expect(text).toContain('A processor, 2 cores');
    expect(text).toContain('| open-loop | p99 added | 3.00 | ≤ 2.00 | ≤ 0.500 | **missed** |');
    expect(text).toContain('| open-loop | gateway p50Ms@5000 ÷ direct | 2.00 × | ≤ 3.00 × | ≤ 2.50 × | aim reached |');
    expect(text).toContain('| open-loop | gateway p99Ms@9999 |  | ≤ 3.00 |  | not measured |');
    expect(text).toContain('**broken failed:** nginx: 3 wrong answers');
  });

  it('shows the median and the spread of every figure', () => {
    expect(markdown(reportOf())).toContain('| p99Ms@2500 | 1.50 (1.00 – 2.00) | 2.50 (2.00 – 3.00) |');
  });

  it('compares two builds figure by figure', () => {
    const report = reportOf(['--against', 'v1']);
    const measured = { gateway: { speed: [30, 60] }, 'gateway@v1': { speed: [10, 30] } };
    const [first] = report.scenarios;
    if (first === undefined) throw new Error('no scenario');
    const text = markdown({ ...report, scenarios: [{ ...first, measured }] });
    expect(text).toContain('| this build ÷ v1 | figure | median |\n|---|---|---|\n| gateway | speed | 2.50 × |');
  });

  it('writes numbers with three digits that count', () => {
    expect([12_345.6, 123.4, 12.34, 1.234, 0.1234, 0, Number.NaN].map(amount)).toEqual([
      '12,346',
      '123',
      '12.3',
      '1.23',
      '0.123',
      '0.000',
      '–',
    ]);
  });
});

describe('the published figures', () => {
  const page = '# Page\n\n<!-- figures: written by npm run perf:report -->\nold\n<!-- end of figures -->\n\nAfter.\n';

  it('replace what stood between the marks, and nothing else', () => {
    const once = publish(page, reportOf(), ['latency-against-rate.svg']);
    expect(once).toMatch(/^# Page\n\n<!-- figures/);
    expect(once).toMatch(/<!-- end of figures -->\n\nAfter\.\n$/);
    expect(once).toContain('![latency against rate](perf/latency-against-rate.svg)');
    expect(once).toContain('\n### open-loop\n');
    expect(once).not.toContain('old');
    expect(publish(once, reportOf(), ['latency-against-rate.svg'])).toBe(once);
  });

  it('have a place in docs/performance.md', () => {
    expect(() => publish('# Page\n', reportOf(), [])).toThrow('no place for figures');
    const real = readFileSync(new URL('../../docs/performance.md', import.meta.url), 'utf8');
    expect(publish(real, reportOf(), [])).toContain('A processor');
  });
});

describe('the pictures', () => {
  it('are drawn from the figures there are', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'mcp-guard-pictures-'));
    await writePictures(reportOf(), dir);
    expect((await readdir(dir)).toSorted()).toEqual(['latency-against-rate.svg', 'throughput-against-workers.svg']);
    const svg = await readFile(join(dir, 'latency-against-rate.svg'), 'utf8');
    expect(svg.match(/<polyline /g)).toHaveLength(4);
    expect(svg).toContain('gateway p99');
    const bars = await readFile(join(dir, 'throughput-against-workers.svg'), 'utf8');
    expect(bars.match(/<circle /g)).toHaveLength(4);
    expect(svg + bars).not.toMatch(/NaN|Infinity|undefined/);
    await rm(dir, { recursive: true });
    expect(await writePictures({ ...reportOf(), scenarios: [] }, dir)).toEqual([]);
    await rm(dir, { recursive: true });
  });
});
