import { describe, expect, it } from 'vitest';
import { errorsOf, load, snapshotOf } from './support.ts';

const AUTH = '[auth]\nallow_anonymous = true\n';

describe('buildUpstream', () => {
  it('has a breaker and no queue by default', () => {
    const [server] = snapshotOf(`${AUTH}[upstream]\ncommand = "server"`).upstreams;
    expect(server).toMatchObject({ maxConcurrency: 1024, queueMs: 0, queueMax: 256, breaker: { failures: 5, openMs: 30_000 } });
  });

  it('reads queue and breaker of each server', () => {
    const text = `${AUTH}
[[upstream.servers]]
name = "one"
command = "server"
queue_secs = 2.5
queue_max = 7
breaker = { failures = 3, open_secs = 0.5 }
[[upstream.servers]]
name = "two"
command = "server"
breaker = { enabled = false }
`;
    expect(snapshotOf(text).upstreams.map(({ queueMs, queueMax, breaker }) => ({ queueMs, queueMax, breaker }))).toEqual([
      { queueMs: 2500, queueMax: 7, breaker: { failures: 3, openMs: 500 } },
      { queueMs: 0, queueMax: 256, breaker: null },
    ]);
  });

  it('refuses a breaker that never opens, and a queue without end', () => {
    const text = `${AUTH}[upstream]\ncommand = "server"\nqueue_max = 0\nqueue_secs = 99999\nbreaker = { failures = 0 }`;
    expect(errorsOf(load(text)).toSorted()).toEqual([
      expect.stringContaining('upstream.breaker.failures'),
      expect.stringContaining('upstream.queue_max'),
      expect.stringContaining('upstream.queue_secs'),
    ]);
  });
});
