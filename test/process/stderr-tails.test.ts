import { describe, expect, it } from 'vitest';
import { mergeStderr } from '../../src/process/stderr-tails.ts';

const lines = (worker: number, ...times: readonly number[]) => times.map((wallMs) => ({ wallMs, worker, line: `${worker} at ${wallMs}` }));

describe('mergeStderr', () => {
  it('puts the lines of all workers in the order of their time, server by server', () => {
    const merged = mergeStderr([
      [
        { server: 'fs', lines: lines(0, 1, 4) },
        { server: 'git', lines: lines(0, 9) },
      ],
      [{ server: 'fs', lines: lines(1, 2, 4, 3) }],
    ]);
    expect(merged.map(({ server, lines: all }) => [server, all.map(({ line }) => line)])).toEqual([
      ['fs', ['0 at 1', '1 at 2', '1 at 3', '0 at 4', '1 at 4']],
      ['git', ['0 at 9']],
    ]);
  });

  it('keeps the newest hundred of a server, however many workers there are', () => {
    const many = Array.from({ length: 8 }, (_, worker) => [
      { server: 'fs', lines: lines(worker, ...Array.from({ length: 100 }, (__, index) => index * 8 + worker)) },
    ]);
    const [fs] = mergeStderr(many);
    expect(fs?.lines).toHaveLength(100);
    expect([fs?.lines[0]?.wallMs, fs?.lines[99]?.wallMs]).toEqual([700, 799]);
  });

  it('takes any configured name as a name', () => {
    expect(mergeStderr([[{ server: '__proto__', lines: lines(0, 1) }]])).toHaveLength(1);
    expect(mergeStderr([])).toEqual([]);
  });
});
