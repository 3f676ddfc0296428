import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SlotList } from '../../src/limit/slot-list.ts';

function contents(list: SlotList): number[] {
  const slots: number[] = [];
  for (let slot = list.first; slot >= 0; slot = list.after(slot)) slots.push(slot);
  return slots;
}

describe('SlotList', () => {
  it('is as an array of which each element is in it at most once', () => {
    const steps = fc.array(fc.record({ slot: fc.integer({ min: 0, max: 7 }), isAdded: fc.boolean() }), { maxLength: 60 });
    fc.assert(
      fc.property(steps, (schedule) => {
        const list = new SlotList(8);
        let model: number[] = [];
        for (const { slot, isAdded } of schedule) {
          if (isAdded) list.add(slot);
          else list.remove(slot);
          if (!isAdded) model = model.filter((other) => other !== slot);
          else if (!model.includes(slot)) model.push(slot);
          expect(contents(list)).toEqual(model);
          expect(list.has(slot)).toBe(isAdded);
        }
      }),
    );
  });
});
