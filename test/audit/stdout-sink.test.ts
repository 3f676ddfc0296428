import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openStdoutSink } from '../../src/audit/stdout-sink.ts';
import { systemClock } from '../../src/core/clock.ts';
import { readLines, recordingLog, temporaryFolder } from './support.ts';

const PROGRAM = `
const { openStdoutSink } = await import(process.argv[1] + '/src/audit/stdout-sink.ts');
const { systemClock } = await import(process.argv[1] + '/src/core/clock.ts');
const log = { error() {}, warn() {}, info() {}, debug() {}, trace() {}, child: () => log, isDebug: false, isTrace: false };
const sink = openStdoutSink({ clock: systemClock, log, queueBytes: 50e6 });
for (let i = 0; i < 20000; i++) sink.write(JSON.stringify({ i, pad: 'x'.repeat(90) }) + '\\n', 1);
// Processor time of one turn of the loop: what this program does, not what the machine does beside it.
let slowestMs = 0, last = process.cpuUsage();
const timer = setInterval(() => {
  const { user, system } = process.cpuUsage(last);
  slowestMs = Math.max(slowestMs, (user + system) / 1000);
  last = process.cpuUsage();
}, 5);
await sink.close(Number(process.argv[2]));
clearInterval(timer);
console.error(JSON.stringify({ ...sink.stats(), slowestMs }));
process.exit(0);
`;

interface Report {
  readonly writtenLines: number;
  readonly droppedLines: number;
  readonly writeErrors: number;
  readonly slowestMs: number;
}

const ROOT = join(import.meta.dirname, '../..');
const ARGUMENTS = ['--input-type=module', '-e', PROGRAM, ROOT];

/** As a child whose stdout is a socket (what node gives), or as the left side of a shell pipe. */
function start(kind: 'socket' | 'pipe', closeMs: number) {
  const node = process.execPath;
  const args = [...ARGUMENTS, String(closeMs)];
  const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe'];
  if (kind === 'socket') return spawn(node, args, { stdio });
  return spawn('sh', ['-c', '{ "$0" "$@"; echo "code $?" >&2; } | { sleep 2; cat; }', node, ...args], { stdio });
}

describe('openStdoutSink', () => {
  it.each(['socket', 'pipe'] as const)(
    'row 201: writes every line to a %s that is read slowly, and never blocks the loop',
    async (kind) => {
      const child = start(kind, 20_000);
      let text = '';
      let report = '';
      child.stderr.on('data', (part) => (report += part));
      for await (const part of child.stdout) {
        text += String(part);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      if (child.exitCode === null) await once(child, 'exit');
      const lines = text.trimEnd().split('\n');
      expect(lines.map((line) => (JSON.parse(line) as { i: number }).i)).toEqual(Array.from({ length: 20_000 }, (_, i) => i));
      const stats = JSON.parse(report.split('\n')[0] ?? '') as Report;
      expect(stats).toMatchObject({ writtenLines: 20_000, droppedLines: 0, writeErrors: 0 });
      expect(stats.slowestMs).toBeLessThan(60);
    },
  );

  it.each(['socket', 'pipe'] as const)('ends in time when nobody reads its %s, with the loss counted', async (kind) => {
    const child = start(kind, 300);
    let report = '';
    child.stderr.on('data', (part) => (report += part));
    const started = performance.now();
    await once(child.stderr, 'end');
    expect(performance.now() - started).toBeLessThan(5000);
    const stats = JSON.parse(report.split('\n')[0] ?? '') as Report;
    expect(stats.droppedLines).toBeGreaterThan(10_000);
    expect(stats.writtenLines + stats.droppedLines).toBe(20_000);
    child.kill();
  });

  it('survives a reader that goes away', async () => {
    const child = start('socket', 500);
    let report = '';
    child.stderr.on('data', (part) => (report += part));
    child.stdout.destroy();
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(0);
    const stats = JSON.parse(report) as Report;
    expect(stats.writeErrors).toBeGreaterThan(0);
    expect(stats.writtenLines + stats.droppedLines).toBe(20_000);
  });

  it('appends to stdout that is a file', async () => {
    const path = join(temporaryFolder(), 'out.jsonl');
    const fd = openSync(path, 'a');
    const sink = openStdoutSink({ clock: systemClock, log: recordingLog(), fd });
    sink.write('one\ntwo\n', 2);
    await sink.close(2000);
    closeSync(fd);
    expect(readLines(path)).toEqual(['one', 'two']);
  });
});
