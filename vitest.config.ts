import { defineConfig, type ViteUserConfig } from 'vitest/config';

/** Tests that start whole gateways: one file at a time, after the others, so that their deadlines mean something on two cores. */
const WHOLE: string[] = ['test/e2e/**/*.test.ts', 'test/conformance/**/*.test.ts', 'test/docs/**/*.test.ts'];

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
      { extends: true, test: { name: 'whole', include: WHOLE, fileParallelism: false, sequence: { groupOrder: 1 } } },
    ],
  },
});

export default config;
