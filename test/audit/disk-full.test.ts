import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readLines, temporaryFolder } from './support.ts';

/** Runs in a process whose files may not grow beyond 64 KiB: writes stop in the middle of a line, as on a full disk. */
const PROGRAM = `
const { openFileSink } = await import(process.argv[1] + '/src/audit/file-sink.ts');
const { systemClock } = await import(process.argv[1] + '/src/core/clock.ts');
const log = { error() {}, warn() {}, info() {}, debug() {}, trace() {}, child: () => log, isDebug: false, isTrace: false };
process.on('SIGXFSZ', () => {});
const rotation = { maxBytes: 0, maxAgeMs: 0, keep: 1, isCompressed: false };
const sink = await openFileSink({ path: process.argv[2], rotation, clock: systemClock, log, compress: null });
for (let i = 0; i < 1000; i++) sink.write(JSON.stringify({ i, pad: 'x'.repeat(90) }) + '\\n', 1);
await sink.close(300);
console.log(JSON.stringify(sink.stats()));
`;

describe('a file that cannot grow any more', () => {
  it('holds whole lines only, the rest is counted, and the process ends in time', () => {
    const path = join(temporaryFolder(), 'audit.jsonl');
    const root = join(import.meta.dirname, '../..');
    const run = spawnSync(
      'sh',
      ['-c', 'ulimit -f 128 && exec "$0" "$@"', process.execPath, '--input-type=module', '-e', PROGRAM, root, path],
      { encoding: 'utf8', timeout: 10_000 },
    );
    expect(run.stderr).toBe('');
    const stats = JSON.parse(run.stdout) as { writtenLines: number; droppedLines: number; writeErrors: number };
    const lines = readLines(path);
    expect(lines.map((line) => (JSON.parse(line) as { i: number }).i)).toEqual([...lines.keys()]);
    expect(stats.writtenLines).toBe(lines.length);
    expect(stats.writtenLines + stats.droppedLines).toBe(1000);
    expect(stats.writeErrors).toBeGreaterThan(0);
    expect(lines.length).toBeGreaterThan(300);
  });
});
