import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyTable } from '../../src/mcp/key-table.ts';

/** Key number n is the two bytes at 2n. */
const TEXT = Buffer.alloc(2 * 65_536);
for (let n = 0; n < 65_536; n++) TEXT.writeUInt16BE(n, 2 * n);

function newTable(): KeyTable {
  const table = new KeyTable();
  table.begin(TEXT, Buffer.alloc(0));
  return table;
}

describe('KeyTable', () => {
  it('finds repeated keys in nested objects of any size, as sets would', () => {
    const step = fc.oneof({ weight: 20, arbitrary: fc.nat({ max: 60 }) }, fc.constant('open' as const), fc.constant('close' as const));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), fc.boolean(), (steps, areHashesEqual) => {
        const table = newTable();
        const open: { base: number; keys: Set<number> }[] = [{ base: 0, keys: new Set() }];
        for (const what of steps) {
          const inner = open.at(-1);
          if (what === 'open') open.push({ base: table.top, keys: new Set() });
          else if (what === 'close') {
            if (open.length > 1) table.close(open.pop()?.base ?? 0);
          } else if (inner !== undefined) {
            const hash = areHashesEqual ? 1 : what;
            expect(table.add(inner.base, hash, 2 * what, 2 * what + 2)).toBe(!inner.keys.has(what));
            inner.keys.add(what);
          }
        }
        table.end();
        expect(table.top).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  it('grows for many keys, and is empty afterwards', () => {
    const table = newTable();
    for (let round = 0; round < 2; round++) {
      table.begin(TEXT, Buffer.alloc(0));
      for (let n = 0; n < 65_536; n++) expect(table.add(0, n, 2 * n, 2 * n + 2)).toBe(true);
      for (let n = 0; n < 65_536; n += 997) expect(table.add(0, n, 2 * n, 2 * n + 2)).toBe(false);
      table.end();
    }
    table.begin(TEXT, Buffer.alloc(0));
    expect(table.add(0, 0, 0, 2)).toBe(true);
  });

  it('compares a key in the text with one in the arena', () => {
    const table = new KeyTable();
    table.begin(Buffer.from('ab'), Buffer.from('xxab'));
    expect(table.add(0, 5, 0, 2)).toBe(true);
    expect(table.add(0, 5, ~2, 4)).toBe(false);
    expect(table.add(0, 5, ~1, 3)).toBe(true);
  });
});
