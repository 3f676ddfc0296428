import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type AuditOutput, openFileSink } from '../../src/audit/file-sink.ts';
import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/core/clock.ts';
import { fakeClock, NO_ROTATION, readLines, recordingLog, temporaryFolder, until } from './support.ts';

async function openAt(path: string, clock: Clock = systemClock) {
  const log = recordingLog();
  const sink: AuditOutput = await openFileSink({ path, rotation: NO_ROTATION, clock, log, compress: null });
  return { log, sink };
}

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);

describe('openFileSink', () => {
  it('row 201: creates the file with mode 0600 whatever the umask says', async () => {
    const path = join(temporaryFolder(), 'audit.jsonl');
    const before = process.umask(0);
    const { sink } = await openAt(path);
    process.umask(before);
    sink.write('{"a":1}\n', 1);
    await sink.close(2000);
    expect(modeOf(path)).toBe('600');
    expect(readLines(path)).toEqual(['{"a":1}']);
  });

  it('row 201: makes an existing file private, and says so', async () => {
    const path = join(temporaryFolder(), 'audit.jsonl');
    writeFileSync(path, '{"old":1}\n');
    chmodSync(path, 0o644);
    const { log, sink } = await openAt(path);
    await sink.close(2000);
    expect(modeOf(path)).toBe('600');
    expect(log.lines[0]).toMatchObject({ level: 'warn' });
  });

  it('writes batches in order, each line whole, and has them all after close', async () => {
    const path = join(temporaryFolder(), 'audit.jsonl');
    const { sink } = await openAt(path);
    const expected: string[] = [];
    for (let i = 0; i < 2000; i++) {
      const line = `{"i":${i},"pad":"${'é'.repeat(i % 200)}"}`;
      expected.push(line);
      sink.write(`${line}\n`, 1);
      if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await sink.close(2000);
    expect(readLines(path)).toEqual(expected);
    expect(sink.stats()).toMatchObject({ writtenLines: 2000, droppedLines: 0, writeErrors: 0 });
  });

  it('continues the same file after a restart', async () => {
    const path = join(temporaryFolder(), 'audit.jsonl');
    for (const line of ['one', 'two', 'three']) {
      const { sink } = await openAt(path);
      sink.write(`${line}\n`, 1);
      await sink.close(2000);
    }
    expect(readLines(path)).toEqual(['one', 'two', 'three']);
  });

  it.each([
    ['{"timestamp":"2026-11-20T10:15:00.000Z","event_type":"tool_c', ''],
    ['{"time', ''],
    ['something else', 'something else\n'],
  ])('after a crash that cut a line off, no line is glued to the piece %s', async (piece, left) => {
    const path = join(temporaryFolder(), 'audit.jsonl');
    writeFileSync(path, `{"a":1}\n${piece}`, { mode: 0o600 });
    const { sink } = await openAt(path);
    sink.write('{"b":2}\n', 1);
    await sink.close(2000);
    expect(readFileSync(path, 'utf8')).toBe(`{"a":1}\n${left}{"b":2}\n`);
  });

  it('refuses to start on a link, a folder, a missing folder and a device, and names the file', async () => {
    const folder = temporaryFolder();
    const link = join(folder, 'link.jsonl');
    symlinkSync(join(folder, 'elsewhere'), link);
    mkdirSync(join(folder, 'folder'));
    await expect(openAt(link)).rejects.toThrow(/link\.jsonl cannot be opened: it is a symbolic link/);
    await expect(openAt(join(folder, 'folder'))).rejects.toThrow(/EISDIR/);
    await expect(openAt(join(folder, 'missing', 'audit.jsonl'))).rejects.toThrow(/ENOENT/);
    await expect(openAt('/dev/null')).rejects.toThrow(/not a regular file/);
    expect(existsSync(join(folder, 'elsewhere'))).toBe(false);
  });

  it('follows a file that was moved away or deleted from outside', async () => {
    const path = join(temporaryFolder(), 'audit.jsonl');
    const clock = fakeClock();
    const { log, sink } = await openAt(path, clock);
    sink.write('one\n', 1);
    await until(() => sink.stats().writtenLines === 1);
    renameSync(path, `${path}.moved`);
    clock.advance(1000);
    sink.write('two\n', 1);
    await until(() => sink.stats().writtenLines === 2);
    rmSync(path);
    clock.advance(1000);
    sink.write('three\n', 1);
    await until(() => sink.stats().writtenLines === 3);
    await sink.close(2000);
    expect(readLines(`${path}.moved`)).toEqual(['one']);
    expect(readLines(path)).toEqual(['three']);
    expect(modeOf(path)).toBe('600');
    expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(2);
  });
});
