import { describe, expect, it } from 'vitest';
import { LAST_ROW, ROWS } from './setup/rows.ts';
import { parse } from './setup/sources.ts';
import { allTestCalls, testCallsIn } from './setup/test-calls.ts';
import type { TestCall } from './setup/test-calls.ts';

const ROW_TITLE = /^row (\d+): ?/;

/** The row that a test shows; null for a test of something else. */
function rowOf(call: TestCall): number | null {
  const match = call.kind === 'test' ? ROW_TITLE.exec(call.title ?? '') : null;
  return match === null ? null : Number(match[1]);
}

/** Titles that mean a row and are written in another way, so that nobody would count them. */
function isMisspelt({ title }: TestCall): boolean {
  return title !== null && /^rows?\b/i.test(title) && !ROW_TITLE.test(title);
}

describe('the numbered requirements', () => {
  const calls = allTestCalls();
  const shown = new Set(calls.map(rowOf).filter((row) => row !== null));

  it('each have a test whose title begins with their row', () => {
    const missing = [...ROWS].filter(([row]) => !shown.has(row)).map(([row, name]) => `row ${row}: ${name}`);
    expect(missing).toEqual([]);
  });

  it('are named by titles in one way only, and exist', () => {
    const misspelt = calls.filter(isMisspelt).map(({ path, line, title }) => `${path}:${line}: ${title}`);
    expect(misspelt).toEqual([]);
    expect([...shown].filter((row) => row < 1 || row > LAST_ROW)).toEqual([]);
  });
});

describe('the count of rows', () => {
  const rowsIn = (text: string): (number | null)[] => testCallsIn(parse('test/a.test.ts', text)).map(rowOf);

  it('reads titles of plain, tabled and templated tests', () => {
    expect(rowsIn("it('row 12: a', f)")).toEqual([12]);
    expect(rowsIn('test(`row 13: ${x}`, f)')).toEqual([13]);
    expect(rowsIn("it.each([1])('row 14: %i', f)")).toEqual([14]);
    expect(rowsIn("it.concurrent('row 15: a', { timeout: 1 }, f)")).toEqual([15]);
  });

  it('does not count what is no test', () => {
    expect(rowsIn("describe('row 12: a', f)")).toEqual([null]);
    expect(rowsIn("log('row 12: a', f); // it('row 13: a', f)")).toEqual([]);
    expect(rowsIn("it('throws away row 12: a', f)")).toEqual([null]);
  });
});
