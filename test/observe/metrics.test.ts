import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { EDGES } from '../../src/observe/histogram.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { parseExposition, valueOf } from './support.ts';

const open: Metrics[] = [];
const showable = (): boolean => true;
afterEach(() => {
  for (const metrics of open.splice(0)) metrics.close();
});

function build(): Metrics {
  const metrics = new Metrics(systemClock);
  open.push(metrics);
  return metrics;
}

const scrape = async (metrics: Metrics) => parseExposition(await metrics.registry.metrics());

describe('Metrics', () => {
  it('row 211: writes a valid exposition, empty and with hostile label values', async () => {
    const metrics = build();
    await scrape(metrics);
    for (const evil of ['a"b', 'a\\', 'a\nb{} 1', '{x="y"}', '', '漢字']) {
      metrics.requests.count(evil, 200, 1);
      metrics.refusals.child(evil).value += 1;
      metrics.upstreams.ended(evil, 'stdio', 'success', 2);
      metrics.tools.count('fs', evil, true, showable);
    }
    const families = await scrape(metrics);
    expect(valueOf(families, 'mcp_guard_requests_total', { method: 'a\nb{} 1', status: '200' })).toBe(1);
    expect(valueOf(families, 'mcp_guard_requests_total', { method: 'a\\', status: '200' })).toBe(1);
  });

  it('row 212: has the documented names and labels', async () => {
    const metrics = build();
    metrics.requests.count('tools/call', 200, 1);
    metrics.auth.child('api_key', 'success').value += 1;
    metrics.limits.decided(true);
    metrics.upstreams.ended('fs', 'stdio', 'success', 3);
    metrics.tools.count('fs', 'read_file', true, showable);
    metrics.sources.activeIdentities = () => 3;
    const families = await scrape(metrics);
    const types = Object.fromEntries(Array.from(families, ([name, { type }]) => [name, type]));
    expect(types).toMatchObject({
      mcp_guard_requests_total: 'counter',
      mcp_guard_request_duration_seconds: 'histogram',
      mcp_guard_auth_total: 'counter',
      mcp_guard_rate_limit_total: 'counter',
      mcp_guard_active_identities: 'gauge',
      mcp_guard_upstream_latency_seconds: 'histogram',
      mcp_guard_upstream_requests_total: 'counter',
      mcp_guard_tool_calls_total: 'counter',
    });
    expect(valueOf(families, 'mcp_guard_requests_total', { method: 'tools/call', status: '200' })).toBe(1);
    expect(valueOf(families, 'mcp_guard_request_duration_seconds_count', { method: 'tools/call' })).toBe(1);
    expect(valueOf(families, 'mcp_guard_auth_total', { provider: 'api_key', result: 'success' })).toBe(1);
    expect(valueOf(families, 'mcp_guard_rate_limit_total', { allowed: 'true' })).toBe(1);
    expect(valueOf(families, 'mcp_guard_rate_limit_total', { allowed: 'false' })).toBe(0);
    expect(valueOf(families, 'mcp_guard_active_identities')).toBe(3);
    const upstream = { server: 'fs', transport: 'stdio', result: 'success' };
    expect(valueOf(families, 'mcp_guard_upstream_requests_total', upstream)).toBe(1);
    expect(valueOf(families, 'mcp_guard_upstream_latency_seconds_count', upstream)).toBe(1);
    expect(valueOf(families, 'mcp_guard_tool_calls_total', { server: 'fs', tool: 'read_file' })).toBe(1);
  });

  it('row 213: has true histograms with the documented edges and finer ones below half a millisecond', async () => {
    const metrics = build();
    const documented = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
    for (const seconds of [0.00004, 0.0002, 0.0005, 0.0051, 3, 60]) metrics.requests.count('ping', 200, seconds * 1000);
    const families = await scrape(metrics);
    const edges = families
      .get('mcp_guard_request_duration_seconds')
      ?.samples.flatMap(({ name, labels }) => (name.endsWith('_bucket') ? [labels['le']] : []));
    expect(edges).toEqual([...[0.00005, 0.0001, 0.00025].map(String), ...documented.map(String), '+Inf']);
    const at = (le: string) => valueOf(families, 'mcp_guard_request_duration_seconds_bucket', { method: 'ping', le });
    expect([at('0.00005'), at('0.0001'), at('0.00025'), at('0.0005'), at('0.005'), at('0.01'), at('5'), at('10'), at('+Inf')]).toEqual([
      1, 1, 2, 3, 3, 4, 5, 5, 6,
    ]);
    expect(valueOf(families, 'mcp_guard_request_duration_seconds_sum', { method: 'ping' })).toBeCloseTo(63.00584, 5);
  });

  it('counts every duration in exactly one bucket, also broken ones', () => {
    const metrics = build();
    for (const ms of [Number.NaN, -1, 0, Number.POSITIVE_INFINITY]) metrics.requests.count('ping', 200, ms);
    for (const edge of EDGES) metrics.requests.count('ping', 200, edge * 1000);
    const [, durations] = metrics.requests.families;
    const { values } = durations?.get() ?? { values: [] };
    expect(values.find(({ labels }) => labels['le'] === '+Inf')?.value).toBe(4 + EDGES.length);
    expect(values.find(({ labels }) => labels['le'] === '10')?.value).toBe(3 + EDGES.length);
  });

  it('row 216: bounds every label: methods, statuses, tools, servers, reasons', async () => {
    const metrics = build();
    for (let i = 0; i < 3000; i++) {
      metrics.requests.count(`m${i}`, 100 + (i % 1000), 1);
      metrics.tools.count('fs', `t${i}`, true, showable);
      metrics.tools.count(`s${i}`, 't', true, showable);
      metrics.refusals.child(`r${i}`).value += 1;
      metrics.upstreams.ended(`s${i}`, 'http', 'success', 1);
    }
    const families = await scrape(metrics);
    const count = (name: string, keep: (labels: Readonly<Record<string, string>>) => boolean = () => true): number =>
      families.get(name)?.samples.filter(({ labels }) => keep(labels)).length ?? 0;
    expect(count('mcp_guard_requests_total')).toBeLessThanOrEqual(2001);
    expect(count('mcp_guard_tool_calls_total', ({ server }) => server === 'fs')).toBe(201);
    expect(count('mcp_guard_tool_calls_total')).toBeLessThanOrEqual(1300);
    expect(count('mcp_guard_refusals_total')).toBe(201);
    expect(count('mcp_guard_upstream_requests_total')).toBe(1001);
    expect(valueOf(families, 'mcp_guard_tool_calls_total', { server: 'fs', tool: 'other' })).toBe(2800);
    const sum = families.get('mcp_guard_requests_total')?.samples.reduce((total, { value }) => total + value, 0);
    expect(sum).toBe(3000);
  });

  it('row 216: names that callers invent do not take the places of tools that exist', async () => {
    const metrics = build();
    for (let i = 0; i < 500; i++) metrics.tools.count('fs', `invented-${i}`, false, showable);
    metrics.tools.count('fs', 'x'.repeat(129), true, showable);
    metrics.tools.count('fs', 'with space', true, showable);
    metrics.tools.count('fs', 'other', true, showable);
    metrics.tools.count('fs', 'secret', true, () => false);
    metrics.tools.count('fs', 'read_file', true, showable);
    metrics.tools.count('fs', 'read_file', false, showable);
    const families = await scrape(metrics);
    const samples = families.get('mcp_guard_tool_calls_total')?.samples.map(({ labels, value }) => [labels['tool'], value]);
    expect(samples).toEqual([
      ['read_file', 2],
      ['other', 504],
    ]);
  });

  it('tells build, uptime, memory, processor time and the lateness of the event loop', async () => {
    const metrics = build();
    await new Promise((resolve) => setTimeout(resolve, 50));
    const families = await scrape(metrics);
    expect(valueOf(families, 'mcp_guard_uptime_seconds')).toBeGreaterThan(0.04);
    expect(families.get('mcp_guard_build_info')?.samples[0]).toMatchObject({ value: 1, labels: { node: process.versions.node } });
    expect(valueOf(families, 'process_resident_memory_bytes')).toBeGreaterThan(10_000_000);
    expect(valueOf(families, 'process_cpu_seconds_total')).toBeGreaterThan(0);
    expect(valueOf(families, 'mcp_guard_event_loop_delay_seconds')).toBeLessThan(10);
  });

  it('follows an upstream whose transport changes with the configuration', async () => {
    const metrics = build();
    metrics.upstreams.ended('fs', 'stdio', 'success', 1);
    metrics.upstreams.ended('fs', 'http', 'success', 1);
    metrics.upstreams.ended('fs', 'http', 'success', -1);
    const families = await scrape(metrics);
    expect(valueOf(families, 'mcp_guard_upstream_requests_total', { server: 'fs', transport: 'http', result: 'success' })).toBe(2);
    expect(valueOf(families, 'mcp_guard_upstream_latency_seconds_count', { server: 'fs', transport: 'http', result: 'success' })).toBe(1);
  });
});
