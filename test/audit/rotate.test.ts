import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { openFileSink } from '../../src/audit/file-sink.ts';
import { gzipFile } from '../../src/audit/gzip-file.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { RotationSettings } from '../../src/core/config.ts';
import { fakeClock, NO_ROTATION, readLines, recordingLog, temporaryFolder, until } from './support.ts';

function rotatedFiles(path: string): string[] {
  const folder = join(path, '..');
  return readdirSync(folder)
    .filter((name) => name.startsWith(`${basename(path)}.`))
    .sort()
    .map((name) => join(folder, name));
}

/** Lines of all files of a trail, oldest first. */
function trailLines(path: string): string[] {
  const old = rotatedFiles(path).flatMap((file) => {
    if (!file.endsWith('.gz')) return readLines(file);
    return gunzipSync(readFileSync(file)).toString().trimEnd().split('\n');
  });
  return [...old, ...readLines(path)];
}

async function openRotating(path: string, rotation: Partial<RotationSettings>, clock: Clock = systemClock) {
  const log = recordingLog();
  const sink = await openFileSink({ path, rotation: { ...NO_ROTATION, keep: 1000, ...rotation }, clock, log, compress: gzipFile });
  return { log, sink };
}

describe('rotation', () => {
  it.each([false, true])('row 205: loses and splits no line while it rotates under load (compressed: %s)', async (isCompressed) => {
    const path = join(temporaryFolder(), 'audit.jsonl');
    const { sink, log } = await openRotating(path, { maxBytes: 20_000, isCompressed });
    const expected: string[] = [];
    for (let batch = 0; batch < 300; batch++) {
      const lines = Array.from({ length: 10 }, (_, i) => `{"n":${batch * 10 + i},"pad":"${'é'.repeat((batch * 7) % 60)}"}`);
      expected.push(...lines);
      sink.write(`${lines.join('\n')}\n`, lines.length);
      if (batch % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await sink.close(10_000);
    expect(trailLines(path)).toEqual(expected);
    expect(sink.rotations).toBeGreaterThan(5);
    expect(rotatedFiles(path)).toHaveLength(sink.rotations);
    for (const file of rotatedFiles(path)) {
      expect(file.endsWith('.gz')).toBe(isCompressed);
      expect(statSync(file).mode & 0o777).toBe(0o600);
      if (!isCompressed) expect(statSync(file).size).toBeLessThanOrEqual(20_000);
    }
    expect(log.lines).toEqual([]);
  });

  it('row 205: keeps the newest N and removes the rest', async () => {
    const path = join(temporaryFolder(), 'audit.jsonl');
    const { sink } = await openRotating(path, { maxBytes: 10, keep: 3 });
    for (let i = 0; i < 10; i++) sink.write(`line-${i}-long\n`, 1);
    await sink.close(5000);
    expect(trailLines(path)).toEqual(['line-6-long', 'line-7-long', 'line-8-long', 'line-9-long']);
  });

  it('row 205: rotates by age, an idle file too, counted from its first line and over restarts', async () => {
    const path = join(temporaryFolder(), 'audit.jsonl');
    const clock = fakeClock();
    const line = (n: number): string => `{"timestamp":"${new Date(clock.wallMs()).toISOString()}","n":${n}}`;
    const first = await openRotating(path, { maxAgeMs: 3_600_000 }, clock);
    first.sink.write(`${line(1)}\n`, 1);
    await first.sink.close(2000);
    clock.advance(3_500_000);
    const second = await openRotating(path, { maxAgeMs: 3_600_000 }, clock);
    second.sink.write(`${line(2)}\n`, 1);
    await until(() => second.sink.stats().writtenLines === 1);
    expect(rotatedFiles(path)).toHaveLength(0);
    clock.advance(100_000);
    await until(() => second.sink.rotations === 1);
    await second.sink.close(2000);
    expect(rotatedFiles(path)).toHaveLength(1);
    expect(readLines(path)).toEqual([]);
  });

  it('continues a file and its size after a restart', async () => {
    const path = join(temporaryFolder(), 'audit.jsonl');
    for (let run = 0; run < 4; run++) {
      const { sink } = await openRotating(path, { maxBytes: 20 });
      sink.write(`line ${run}\n`, 1);
      await sink.close(2000);
    }
    expect(rotatedFiles(path)).toHaveLength(1);
    expect(trailLines(path)).toEqual(['line 0', 'line 1', 'line 2', 'line 3']);
  });

  it('finishes what a crash interrupted: unfinished compressions go, waiting files are compressed', async () => {
    const path = join(temporaryFolder(), 'audit.jsonl');
    const old = `${path}.20261101T000000.000Z`;
    writeFileSync(old, 'old\n');
    writeFileSync(`${old}.gz.partial`, 'half');
    writeFileSync(`${path}.notes`, 'not ours\n');
    const { sink } = await openRotating(path, { maxBytes: 1000, isCompressed: true });
    sink.write('new\n', 1);
    await sink.close(5000);
    expect(rotatedFiles(path).map((file) => basename(file))).toEqual(['audit.jsonl.20261101T000000.000Z.gz', 'audit.jsonl.notes']);
    expect(gunzipSync(readFileSync(`${old}.gz`)).toString()).toBe('old\n');
  });

  it('never overwrites a rotated file of the same time', async () => {
    const path = join(temporaryFolder(), 'audit.jsonl');
    const { sink } = await openRotating(path, { maxBytes: 5 }, fakeClock());
    for (let i = 0; i < 5; i++) sink.write(`${i}aaaa\n`, 1);
    await until(() => sink.stats().writtenLines === 5);
    await sink.close(2000);
    expect(trailLines(path)).toEqual(['0aaaa', '1aaaa', '2aaaa', '3aaaa', '4aaaa']);
  });

  it('loses nothing when a rotation fails, and says so once', async () => {
    const folder = temporaryFolder();
    const inner = join(folder, 'inner');
    mkdirSync(inner);
    const path = join(inner, 'audit.jsonl');
    const clock = fakeClock();
    const { log, sink } = await openRotating(path, { maxBytes: 10 }, clock);
    sink.write('line 1 is long\n', 1);
    await until(() => sink.stats().writtenLines === 1);
    rmSync(inner, { recursive: true });
    sink.write('line 2 is long\n', 1);
    sink.write('line 3 is long\n', 1);
    await until(() => sink.stats().writtenLines === 3);
    mkdirSync(inner);
    clock.advance(61_000);
    sink.write('line 4\n', 1);
    await until(() => sink.stats().writtenLines === 4);
    await sink.close(2000);
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    expect(readLines(path)).toEqual(['line 4']);
  });

  it('keeps the rotated file when it cannot be compressed', async () => {
    const path = join(temporaryFolder(), 'audit.jsonl');
    const log = recordingLog();
    const compress = (): Promise<void> => Promise.reject(new Error('no thread'));
    const sink = await openFileSink({
      path,
      rotation: { maxBytes: 5, maxAgeMs: 0, keep: 9, isCompressed: true },
      clock: systemClock,
      log,
      compress,
    });
    sink.write('aaaaaa\nbbbbbb\n', 2);
    await sink.close(2000);
    expect(trailLines(path)).toEqual(['aaaaaa', 'bbbbbb']);
    expect(log.lines[0]).toMatchObject({ level: 'error' });
  });
});
