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

  it('reads deadlines of single tools, and fits to them what they do not state', () => {
    const tools = [
      '{ tool_pattern = "a", timeout_secs = 5 }',
      '{ tool_pattern = "b", timeout_secs = 900 }',
      '{ tool_pattern = "c", timeout_max_secs = 10 }',
      '{ tool_pattern = "d", timeout_secs = 1, timeout_max_secs = 2 }',
    ];
    const [server] = snapshotOf(`${AUTH}[upstream]\ncommand = "server"\ntool_timeouts = [${tools.join(', ')}]`).upstreams;
    expect(server?.toolTimeouts).toEqual([
      { pattern: 'a', timeoutMs: 5_000, timeoutMaxMs: 600_000 },
      { pattern: 'b', timeoutMs: 900_000, timeoutMaxMs: 900_000 },
      { pattern: 'c', timeoutMs: 10_000, timeoutMaxMs: 10_000 },
      { pattern: 'd', timeoutMs: 1_000, timeoutMaxMs: 2_000 },
    ]);
  });

  it('refuses deadlines of tools that change nothing, hold twice or contradict each other', () => {
    const tools = [
      '{ tool_pattern = "a" }',
      '{ tool_pattern = "b", timeout_secs = 5, timeout_max_secs = 4 }',
      '{ tool_pattern = "b", timeout_secs = 5 }',
      '{ timeout_secs = 5 }',
    ];
    expect(errorsOf(load(`${AUTH}[upstream]\ncommand = "server"\ntool_timeouts = [${tools.join(', ')}]`)).toSorted()).toEqual([
      expect.stringContaining('upstream.tool_timeouts[0] changes nothing'),
      expect.stringContaining('upstream.tool_timeouts[1].timeout_max_secs is shorter than timeout_secs'),
      expect.stringContaining('upstream.tool_timeouts[2].tool_pattern is the same as upstream.tool_timeouts[1].tool_pattern'),
      expect.stringContaining('upstream.tool_timeouts[3].tool_pattern is missing'),
    ]);
  });

  it('keeps no lists by default', () => {
    expect(snapshotOf(`${AUTH}[upstream]\ncommand = "server"`).upstreams[0]?.listCacheMs).toBe(0);
    expect(snapshotOf(`${AUTH}[upstream]\ncommand = "server"\ntool_cache_ttl_secs = 2.5`).upstreams[0]?.listCacheMs).toBe(2_500);
  });
});
