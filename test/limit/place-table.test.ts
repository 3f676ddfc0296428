import { describe, expect, it } from 'vitest';
import { PlaceTable } from '../../src/limit/place-table.ts';

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('PlaceTable', () => {
  it('forgets a key whose last request has left', () => {
    const table = new PlaceTable();
    for (let i = 0; i < 10_000; i++) {
      table.enter(`key-${i}`, 4);
      table.leave(`key-${i}`);
    }
    table.enter('last', 4);
    expect(table.size).toBe(1);
  });

  it('counts a key that was idle from nothing, among others that are idle or in use', () => {
    const table = new PlaceTable();
    for (let i = 0; i < 3000; i++) table.enter(`busy-${i}`, 1);
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 1500; i++)
        expect([table.enter(`key-${i}`, 2), table.enter(`key-${i}`, 2), table.enter(`key-${i}`, 2)]).toEqual([
          'entered',
          'entered',
          'full',
        ]);
      expect(table.size).toBe(4500);
      for (let i = 0; i < 1500; i++) {
        table.leave(`key-${i}`);
        table.leave(`key-${i}`);
      }
      expect(table.size).toBe(3000);
    }
    expect(() => table.leave('key-1499')).toThrow(RangeError);
    expect(() => table.leave('key-0')).toThrow(RangeError);
    for (let i = 0; i < 3000; i++) expect(table.enter(`busy-${i}`, 1)).toBe('full');
  });

  it('hands a place to who waits patiently, first come first, and nobody can take it meanwhile', async () => {
    const table = new PlaceTable();
    const served: string[] = [];
    table.enter('a', 1);
    for (const name of ['one', 'two']) table.whenFree('a', 1, 'patient', (isEntered) => served.push(`${name} ${isEntered}`));
    table.leave('a');
    expect([table.enter('a', 1), served]).toEqual(['full', []]);
    await settled();
    expect(served).toEqual(['one true']);
    table.leave('a');
    await settled();
    expect([served, table.enter('a', 1)]).toEqual([['one true', 'two true'], 'full']);
  });

  it('passes over who has cancelled, also at the last moment, and the place is not lost', async () => {
    const table = new PlaceTable();
    const served: string[] = [];
    table.enter('a', 1);
    const gone = table.whenFree('a', 1, 'patient', () => served.push('gone'));
    const late = table.whenFree('a', 1, 'patient', () => served.push('late'));
    table.whenFree('a', 1, 'patient', () => served.push('last'));
    gone.cancel();
    table.leave('a');
    late.cancel();
    await settled();
    expect(served).toEqual(['last']);
    table.leave('a');
    await settled();
    expect(table.size).toBe(0);
  });

  it('answers a brief wait at once, and never inside', async () => {
    const table = new PlaceTable();
    const served: boolean[] = [];
    table.whenFree('a', 1, 'brief', (isEntered) => served.push(isEntered));
    table.whenFree('a', 1, 'brief', (isEntered) => served.push(isEntered));
    expect(served).toEqual([]);
    await settled();
    expect(served).toEqual([true, false]);
  });
});
