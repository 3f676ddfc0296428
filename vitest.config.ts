import { defineConfig, type ViteUserConfig } from 'vitest/config';

/** Tests that start whole gateways, after the others: they wait more than they compute, but for their own deadlines. */
const WHOLE: string[] = ['test/e2e/**/*.test.ts', 'test/conformance/**/*.test.ts', 'test/docs/**/*.test.ts'];

/** Tests that need both cores to themselves: they measure, or a gateway is loaded as far as it goes. */
const ALONE: string[] = ['test/e2e/perf-smoke.test.ts', 'test/e2e/limits-acceptance*.test.ts'];

const config: ViteUserConfig = defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Whole machines stand still at times, and half an hour of tests must not be lost to that. What needed it says so: `(retry x1)`.
    retry: process.env['CI'] === 'true' ? 1 : 0,
    expect: { requireAssertions: true },
    projects: [
      { extends: true, test: { name: 'rooms', include: ['test/**/*.test.ts'], exclude: WHOLE, sequence: { groupOrder: 0 } } },
      { extends: true, test: { name: 'whole', include: WHOLE, exclude: ALONE, sequence: { groupOrder: 1 } } },
      { extends: true, test: { name: 'alone', include: ALONE, fileParallelism: false, sequence: { groupOrder: 2 } } },
    ],
  },
});

export default config;
