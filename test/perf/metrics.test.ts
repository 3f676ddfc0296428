import { describe, expect, it } from 'vitest';
import { parseMetrics, sumOf } from '../../perf/lib/metrics.ts';

const metrics = parseMetrics(`# HELP asks_total Asks.
# TYPE asks_total counter
asks_total 7
asks_total_more 100
decisions_total{allowed="true"} 40
decisions_total{allowed="false",tool="a b"} 2
`);

describe('the metrics that a scenario reads', () => {
  it('are summed over the series of one family, all or those with a label', () => {
    expect(sumOf(metrics, 'asks_total')).toBe(7);
    expect(sumOf(metrics, 'decisions_total')).toBe(42);
    expect(sumOf(metrics, 'decisions_total', 'allowed="false"')).toBe(2);
  });

  it('are never taken for zero when they are not there', () => {
    expect(() => sumOf(metrics, 'asks')).toThrow('there is no metric asks');
    expect(() => sumOf(metrics, 'decisions_total', 'allowed="maybe"')).toThrow('there is no metric');
  });
});
