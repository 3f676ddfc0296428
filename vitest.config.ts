import { defineConfig, type ViteUserConfig } from 'vitest/config';

/** Tests that start whole gateways, after the others: they wait more than they compute. */
const WHOLE: string[] = ['test/e2e/**/*.test.ts', 'test/conformance/**/*.test.ts', 'test/docs/**/*.test.ts'];

/** Tests that need both cores to themselves: they measure, load a gateway as far as it goes, or hold it to a second or two. */
const ALONE: string[] = [
  'test/e2e/perf-smoke.test.ts',
  'test/e2e/limits-acceptance*.test.ts',
  'test/e2e/{health,hosts-children,hosts-sessions,stdio-pool,stdio-servers,supervision}.test.ts',
];

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
