import { describe, expect, it } from 'vitest';
import { Pieces } from '../../src/upstream/pieces.ts';

function whole(texts: readonly string[]): string {
  const pieces = new Pieces();
  for (const text of texts) pieces.push(Buffer.from(text));
  return pieces.take().toString();
}

describe('Pieces', () => {
  it('puts together what it was given, in order, empty pieces included', () => {
    expect([whole([]), whole(['']), whole(['one']), whole(['a', '', 'bc', 'd'.repeat(5000)])]).toEqual([
      '',
      '',
      'one',
      `abc${'d'.repeat(5000)}`,
    ]);
  });

  it('begins anew after take and after clear, and leaves alone what was taken', () => {
    const pieces = new Pieces();
    for (const text of ['x', 'y']) pieces.push(Buffer.from(text));
    const taken = pieces.take();
    for (const text of ['1', '2', '3']) pieces.push(Buffer.from(text));
    expect([taken.toString(), pieces.take().toString()]).toEqual(['xy', '123']);
    pieces.push(Buffer.from('gone'));
    pieces.clear();
    expect(pieces.take().length).toBe(0);
  });

  it('copies nothing when there is one piece', () => {
    const pieces = new Pieces();
    const only = Buffer.from('only');
    pieces.push(only);
    expect(pieces.take()).toBe(only);
  });

  it('holds pieces of one byte for not much more than a byte each', () => {
    const block = Buffer.alloc(65_536, 0x20);
    const pieces = new Pieces();
    const before = process.memoryUsage();
    for (let i = 0; i < 3_000_000; i += 1) pieces.push(block.subarray(i % 65_536, (i % 65_536) + 1));
    const after = process.memoryUsage();
    expect(after.heapUsed - before.heapUsed + after.external - before.external).toBeLessThan(100_000_000);
    expect(pieces.take().length).toBe(3_000_000);
  });
});
