import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { LimitOutcome } from '../../src/core/limit.ts';
import { SharedTable } from '../../src/limit/shared-table.ts';

// Run as a program: three rounds of 100,000 other identities, idle past their time to live. Prints size and memory of each.
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const out: LimitOutcome = {
  isAllowed: false,
  decidedBy: 'principal',
  limit: 0,
  remaining: 0,
  resetSecs: 0,
  retryAfterSecs: 0,
  mode: 'remote',
};
const spec = { perSecond: 25, burst: 10, failMode: 'local' } as const;
const table = new SharedTable({ capacity: 131_072, idleTtlMs: 10_000 });
let nowMs = 0;
// Round 0 warms up: the engine grows its young generation once, whatever runs.
for (let round = 0; round <= 3; round++) {
  for (let i = 0; i < 100_000; i++)
    table.take([{ limit: 'principal', key: `api_key:round-${round}-user-${i}`, spec, tokens: 1 }], nowMs, out);
  const held = table.size;
  for (let second = 0; second < 20; second++) {
    nowMs += 1_000;
    table.sweep(nowMs);
  }
  collect();
  if (round > 0)
    console.log(JSON.stringify({ held, size: table.size, heapBytes: process.memoryUsage().heapUsed, rssBytes: process.memoryUsage.rss() }));
}
