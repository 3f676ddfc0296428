import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { PlaceTable } from '../../src/limit/place-table.ts';
import { KeyedSeats, ownerOf, seatsOf } from '../../src/upstream/pool-seats.ts';

describe('seats of a shared pool', () => {
  it('are dealt out once each, evenly, beginning with another worker for each server', () => {
    const dealt = [0, 1, 2, 3].map((worker) => seatsOf(1, 6, worker, 4));
    expect(dealt.flat().toSorted((one, other) => one - other)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(dealt.map((seats) => seats.length)).toEqual([1, 2, 2, 1]);
    expect(dealt[1]?.[0]).toBe(0);
  });
});

describe('ownerOf', () => {
  it('spreads keys over workers, and says the same in each of them', () => {
    const counts = [0, 0, 0, 0];
    for (let id = 0; id < 4000; id++) {
      const owner = ownerOf('fs', `api_key:${id}`, 4);
      expect(owner).toBe(ownerOf('fs', `api_key:${id}`, 4));
      counts[owner] = (counts[owner] ?? 0) + 1;
    }
    for (const count of counts) expect(count).toBeGreaterThan(800);
  });
});

describe('seats of keys', () => {
  function seatsWith(max: number): { seats: KeyedSeats; given: string[]; shortages: () => number } {
    const given: string[] = [];
    let shortages = 0;
    const seats = new KeyedSeats({
      server: 'fs',
      max,
      places: new PlaceTable(),
      clock: systemClock,
      isFirst: false,
      onSeat: (number, key) => given.push(`${key} ${number}`),
      onShortage: () => (shortages += 1),
    });
    return { seats, given, shortages: () => shortages };
  }

  it('are as many as the maximum, numbered from zero; who finds none gets the next that is left', async () => {
    const { seats, given, shortages } = seatsWith(2);
    expect([seats.take('a'), seats.take('b'), seats.take('c'), shortages()]).toEqual([0, 1, null, 1]);
    seats.leave(0);
    await new Promise((resolve) => setImmediate(resolve));
    expect(given).toEqual(['c 0']);
    seats.close();
  });

  it('are not given to a key that nobody waits for any more', async () => {
    const { seats, given } = seatsWith(1);
    expect([seats.take('a'), seats.take('b')]).toEqual([0, null]);
    seats.forget('b');
    seats.leave(0);
    await new Promise((resolve) => setImmediate(resolve));
    expect([given, seats.take('c')]).toEqual([[], 0]);
    seats.close();
  });

  it('that nobody waits for are given only where one is free, and nobody is asked to end a child for it', () => {
    const { seats, given, shortages } = seatsWith(1);
    const spare: (number | null)[] = [];
    seats.spare((number) => spare.push(number));
    seats.spare((number) => spare.push(number));
    expect([spare, given, shortages()]).toEqual([[0, null], [], 0]);
    seats.leave(0);
    expect(seats.take('a')).toBe(0);
    seats.close();
  });

  it('are also given to nobody in particular when other workers have to be asked first', () => {
    let tell = (_isEntered: boolean): void => undefined;
    const places = new PlaceTable();
    places.enter = () => 'unknown';
    places.whenFree = (_key, _max, _patience, done) => {
      tell = done;
      return { cancel: () => undefined };
    };
    const seats = new KeyedSeats({
      server: 'fs',
      max: 1,
      places,
      clock: systemClock,
      isFirst: false,
      onSeat: () => undefined,
      onShortage: () => undefined,
    });
    const spare: (number | null)[] = [];
    seats.spare((number) => spare.push(number));
    expect(spare).toEqual([]);
    tell(true);
    expect(spare).toEqual([0]);
  });
});
