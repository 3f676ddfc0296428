import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdRing } from '../../src/upstream/id-ring.ts';

function put(ring: IdRing<{ id: number }>): { id: number } {
  const entry = { id: ring.nextId() };
  ring.put(entry);
  return entry;
}

describe('IdRing', () => {
  it('gives ascending ids from 1 and finds each entry by its own', () => {
    const ring = new IdRing<{ id: number }>();
    const entries = Array.from({ length: 1_000 }, () => put(ring));
    expect(entries[0]?.id).toBe(1);
    expect(entries.every((entry, i) => i === 0 || entry.id > (entries[i - 1]?.id ?? 0))).toBe(true);
    expect(entries.every((entry) => ring.get(entry.id) === entry)).toBe(true);
    expect(ring.list()).toHaveLength(1_000);
  });

  it('finds nothing for numbers that are no ids, whatever slot they fall into', () => {
    const ring = new IdRing<{ id: number }>();
    for (let i = 0; i < 64; i++) put(ring);
    const strange = [0, -1, 1.5, 65, 2 ** 31 + 1, 2 ** 32 + 1, 2 ** 53, Number.NaN, Infinity, -Infinity, 1e300];
    expect(strange.map((id) => ring.get(id))).toEqual(strange.map(() => undefined));
  });

  it('does what a map would do, whichever entries come and go', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat()), { maxLength: 600 }), (steps) => {
        const ring = new IdRing<{ id: number }>();
        const model = new Map<number, { id: number }>();
        const seen = new Set<number>();
        for (const [isPut, pick] of steps) {
          const known = [...model.values()];
          if (isPut || known.length === 0) {
            const entry = put(ring);
            expect(seen.has(entry.id)).toBe(false);
            seen.add(entry.id);
            model.set(entry.id, entry);
          } else {
            const entry = known[pick % known.length] as { id: number };
            expect(ring.remove(entry)).toBe(model.delete(entry.id));
            expect(ring.remove(entry)).toBe(false);
            expect(ring.get(entry.id)).toBeUndefined();
          }
          expect(ring.size).toBe(model.size);
        }
        expect(new Set(ring.list())).toEqual(new Set(model.values()));
      }),
      { numRuns: 100 },
    );
  });

  it('steps over an entry that stays while ids go round', () => {
    const ring = new IdRing<{ id: number }>();
    const lasting = put(ring);
    for (let i = 0; i < 1_000; i++) ring.remove(put(ring));
    expect(ring.get(lasting.id)).toBe(lasting);
    expect(ring.size).toBe(1);
  });
});
