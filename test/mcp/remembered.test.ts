import { describe, expect, it } from 'vitest';
import { remembered } from '../../src/mcp/remembered.ts';

describe('remembered', () => {
  it('reads a value once, whatever the answer is', () => {
    let reads = 0;
    const isShort = remembered((value: string) => {
      reads += 1;
      return value.length < 3;
    });
    expect([isShort('ab'), isShort('ab'), isShort('abc'), isShort('abc')]).toEqual([true, true, false, false]);
    expect(reads).toBe(2);
  });

  it('keeps a bounded number of values, and no long ones', () => {
    let reads = 0;
    const length = remembered((value: string) => {
      reads += 1;
      return value.length;
    });
    for (let index = 0; index < 1000; index++) expect(length(`value ${index}`)).toBe(`value ${index}`.length);
    length('value 0');
    expect(reads).toBe(1001);
    const long = 'x'.repeat(300);
    expect([length(long), length(long)]).toEqual([300, 300]);
    expect(reads).toBe(1003);
  });
});
