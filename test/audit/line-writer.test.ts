import { describe, expect, it } from 'vitest';
import { type LineTarget, LineWriter } from '../../src/audit/line-writer.ts';
import { systemClock } from '../../src/core/clock.ts';
import { recordingLog, until } from './support.ts';

/** A target that takes a few bytes at a time and fails when told to. */
function unreliable(step: number) {
  const state = { text: '', failures: 0, isBroken: false, tornBytes: -1, isStuck: false, mostBytes: Number.POSITIVE_INFINITY };
  const target: LineTarget = {
    prepare: async () => 1000,
    append: async (bytes) => {
      if (state.isStuck) return new Promise<number>(() => undefined);
      if (state.isBroken || state.failures > 0 || state.text.length >= state.mostBytes) {
        state.failures -= 1;
        throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
      }
      const taken = bytes.subarray(0, step);
      state.text += taken.toString();
      return taken.length;
    },
    close: async (tornBytes) => {
      state.tornBytes = tornBytes;
    },
  };
  const log = recordingLog();
  return { state, log, writer: new LineWriter({ output: 'file', target, clock: systemClock, log, queueBytes: 1000 }) };
}

describe('LineWriter', () => {
  it('goes on where a short write stopped', async () => {
    const { state, writer } = unreliable(3);
    writer.write('first\nsecond\n', 2);
    writer.write('third\n', 1);
    await writer.close(2000);
    expect(state.text).toBe('first\nsecond\nthird\n');
    expect(writer.stats()).toEqual({ output: 'file', writtenLines: 3, droppedLines: 0, writeErrors: 0, queuedBytes: 0 });
    expect(state.tornBytes).toBe(0);
  });

  it('retries the same bytes after an error, counts each error and logs once per burst', async () => {
    const { state, log, writer } = unreliable(4);
    state.failures = 3;
    writer.write('one\ntwo\n', 2);
    await until(() => state.text === 'one\ntwo\n');
    state.failures = 2;
    writer.write('three\n', 1);
    await until(() => state.text.endsWith('three\n'));
    await writer.close(2000);
    expect(state.text).toBe('one\ntwo\nthree\n');
    expect(writer.stats().writeErrors).toBe(5);
    expect(log.lines.map(({ level }) => level)).toEqual(['error', 'warn', 'error', 'warn']);
  });

  it('drops and counts what does not fit while the target is broken, and keeps what it took', async () => {
    const { state, writer } = unreliable(1000);
    state.isBroken = true;
    for (let i = 0; i < 100; i++) writer.write(`${'x'.repeat(99)}\n`, 1);
    await until(() => writer.stats().writeErrors > 0);
    state.isBroken = false;
    await until(() => writer.stats().queuedBytes === 0);
    await writer.close(2000);
    const { writtenLines, droppedLines } = writer.stats();
    expect(writtenLines + droppedLines).toBe(100);
    expect(writtenLines).toBeGreaterThanOrEqual(10);
    expect(state.text.split('\n')).toHaveLength(writtenLines + 1);
  });

  it('closes in time when the target stays broken, says which bytes belong to a torn line, and counts the rest', async () => {
    const { state, writer } = unreliable(5);
    state.mostBytes = 10;
    writer.write('one\ntwo\nthree\n', 3);
    await until(() => writer.stats().writeErrors > 0);
    await writer.close(100);
    expect(state.text).toBe('one\ntwo\nth');
    expect(state.tornBytes).toBe(2);
    expect(writer.stats()).toMatchObject({ writtenLines: 2, droppedLines: 1, queuedBytes: 0 });
    writer.write('late\n', 1);
    expect(writer.stats().droppedLines).toBe(2);
  });

  it('closes in time when a write never ends, and counts its lines as dropped', async () => {
    const { state, log, writer } = unreliable(1000);
    state.isStuck = true;
    writer.write('one\n', 1);
    writer.write('two\n', 1);
    await writer.close(50);
    expect(writer.stats()).toMatchObject({ writtenLines: 0, droppedLines: 2, writeErrors: 0, queuedBytes: 0 });
    expect(log.lines).toEqual([]);
  });
});
