import { afterEach, describe, expect, it } from 'vitest';
import { Packr } from 'msgpackr';
import type { AuditStats } from '../../src/core/audit.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { MetricsDump } from '../../src/core/messages.ts';
import { aggregateDumps, dumpMetrics } from '../../src/observe/aggregate.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { PrimaryMetrics } from '../../src/observe/primary-metrics.ts';
import { parseExposition, valueOf } from './support.ts';

const packr = new Packr({ useRecords: false });
const open: { close(): void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

function worker(): Metrics {
  const metrics = new Metrics(systemClock);
  open.push(metrics);
  return metrics;
}

/** As it arrives in the primary; every worker is a process of its own there, with its own name. */
async function dumpOf(metrics: Metrics, source: string): Promise<MetricsDump> {
  const [, ...rest] = packr.unpack(packr.pack(await dumpMetrics(metrics))) as unknown[];
  return [{ source }, ...rest];
}

const STATS: AuditStats = {
  records: 10,
  workerDrops: 2,
  rotations: 1,
  outputs: [{ output: 'file', writtenLines: 9, droppedLines: 1, writeErrors: 3, queuedBytes: 77 }],
};

function primary(hasOwnProcess = true): PrimaryMetrics {
  const metrics = new PrimaryMetrics({ clock: systemClock, audit: () => STATS, limits: () => null, news: () => null, hasOwnProcess });
  open.push(metrics);
  return metrics;
}

describe('aggregateDumps', () => {
  it('row 211: sums counters and histograms of all workers, and each gauge as is right for it', async () => {
    const [one, two] = [worker(), worker()];
    one.requests.count('ping', 200, 1);
    two.requests.count('ping', 200, 30);
    two.requests.count('ping', 429, 1);
    two.requests.count('tools/call', 200, 1);
    one.upstreams.up('fs', 'stdio', true);
    two.upstreams.up('fs', 'stdio', false);
    one.sources.connections = () => 3;
    two.sources.connections = () => 4;
    const families = parseExposition(await aggregateDumps([await dumpOf(one, 'a'), await dumpOf(two, 'b')]));
    expect(valueOf(families, 'mcp_guard_requests_total', { method: 'ping', status: '200' })).toBe(2);
    expect(valueOf(families, 'mcp_guard_requests_total', { method: 'tools/call', status: '200' })).toBe(1);
    expect(valueOf(families, 'mcp_guard_request_duration_seconds_bucket', { method: 'ping', le: '0.001' })).toBe(2);
    expect(valueOf(families, 'mcp_guard_request_duration_seconds_count', { method: 'ping' })).toBe(3);
    expect(valueOf(families, 'mcp_guard_connections')).toBe(7);
    expect(valueOf(families, 'mcp_guard_upstream_up', { server: 'fs', transport: 'stdio' })).toBe(0);
    expect(valueOf(families, 'mcp_guard_build_info', { version: '0.1.0', node: process.versions.node })).toBe(1);
  });

  it('gives an empty text of no dumps', async () => {
    expect((await aggregateDumps([])).trim()).toBe('');
  });
});

describe('PrimaryMetrics', () => {
  it('row 211: adds what only the primary knows', async () => {
    const families = parseExposition(await primary().text([await dumpOf(worker(), 'a')], { alive: 2, restarts: 5 }));
    expect(valueOf(families, 'mcp_guard_workers')).toBe(2);
    expect(valueOf(families, 'mcp_guard_worker_restarts_total')).toBe(5);
    expect(valueOf(families, 'mcp_guard_audit_records_total')).toBe(10);
    expect(valueOf(families, 'mcp_guard_audit_dropped_total', { where: 'worker' })).toBe(2);
    expect(valueOf(families, 'mcp_guard_audit_dropped_total', { where: 'file' })).toBe(1);
    expect(valueOf(families, 'mcp_guard_audit_written_total', { output: 'file' })).toBe(9);
    expect(valueOf(families, 'mcp_guard_audit_write_errors_total', { output: 'file' })).toBe(3);
    expect(valueOf(families, 'mcp_guard_audit_queue_bytes', { output: 'file' })).toBe(77);
    expect(valueOf(families, 'mcp_guard_audit_rotations_total')).toBe(1);
  });

  it('counts the one process once when the worker runs inside it', async () => {
    const families = parseExposition(await primary(false).text([await dumpOf(worker(), 'a')], { alive: 1, restarts: 0 }));
    const rss = process.memoryUsage.rss();
    expect(valueOf(families, 'process_resident_memory_bytes')).toBeLessThan(rss * 1.5);
  });

  it('keeps what lost workers had counted, so that no counter falls', async () => {
    const metrics = primary();
    let expected = 0;
    const survivor = worker();
    for (let round = 0; round < 150; round++) {
      const victim = worker();
      victim.requests.count('ping', 200, 1);
      survivor.requests.count('ping', 200, 1);
      expected += 2;
      const text = await metrics.text([await dumpOf(survivor, 'survivor'), await dumpOf(victim, `victim-${round}`)], {
        alive: 2,
        restarts: round,
      });
      expect(valueOf(parseExposition(text), 'mcp_guard_requests_total', { method: 'ping', status: '200' })).toBe(expected);
      victim.close();
    }
    const families = parseExposition(await metrics.text([await dumpOf(survivor, 'survivor')], { alive: 1, restarts: 0 }));
    expect(valueOf(families, 'mcp_guard_request_duration_seconds_count', { method: 'ping' })).toBe(expected);
  });

  it('counts a worker that missed a scrape neither twice nor not at all', async () => {
    const metrics = primary();
    const [one, two] = [worker(), worker()];
    one.requests.count('ping', 200, 1);
    two.requests.count('ping', 200, 1);
    const total = async (...dumps: MetricsDump[]) =>
      valueOf(parseExposition(await metrics.text(dumps, { alive: 2, restarts: 0 })), 'mcp_guard_requests_total', {
        method: 'ping',
        status: '200',
      });
    expect(await total(await dumpOf(one, 'one'), await dumpOf(two, 'two'))).toBe(2);
    expect(await total(await dumpOf(one, 'one'))).toBe(2);
    two.requests.count('ping', 200, 1);
    expect(await total(await dumpOf(one, 'one'), await dumpOf(two, 'two'))).toBe(3);
  });

  it('forgets the gauges of a lost worker', async () => {
    const metrics = primary();
    const lost = worker();
    lost.sources.connections = () => 9;
    await metrics.text([await dumpOf(lost, 'lost')], { alive: 1, restarts: 0 });
    const families = parseExposition(await metrics.text([await dumpOf(worker(), 'new')], { alive: 1, restarts: 1 }));
    expect(valueOf(families, 'mcp_guard_connections')).toBe(0);
  });
});
