import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { dumpMetrics } from '../../src/observe/aggregate.ts';
import { EDGES } from '../../src/observe/histogram.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { PrimaryMetrics } from '../../src/observe/primary-metrics.ts';
import { parseExposition } from './support.ts';

const TEXT = readFileSync(join(import.meta.dirname, '../../docs/metrics.md'), 'utf8');

describe('docs/metrics.md', () => {
  it('row 212: describes every metric with its type, and no other', async () => {
    const metrics = new Metrics(systemClock);
    const primary = new PrimaryMetrics({
      clock: systemClock,
      audit: () => null,
      limits: () => null,
      news: () => null,
      hasOwnProcess: true,
    });
    const families = parseExposition(await primary.text([await dumpMetrics(metrics)], { alive: 1, restarts: 0 }));
    metrics.close();
    primary.close();
    const documented = Array.from(
      TEXT.matchAll(/^\| `([a-z_]+)` \| (counter|gauge|histogram) \|/gm),
      ([, name, type]) => `${name} ${type}`,
    );
    expect(documented.toSorted()).toEqual(Array.from(families, ([name, { type }]) => `${name} ${type}`).toSorted());
  });

  it('row 213: states the edges of the histograms', () => {
    expect(TEXT).toContain(`Edges in seconds: ${EDGES.map((edge) => String(edge).replace(/^0\./, '.')).join(' ')}.`);
  });
});
