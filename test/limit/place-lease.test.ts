import { describe, expect, it } from 'vitest';
import { enterPlain, leavePlain, newPlaceNote } from '../../src/core/limit.ts';
import { IDLE_MS, PlaceFleet } from './place-fleet.ts';

/** Enters in a worker, waiting if need be; the promise is of what came of it. */
function enter(fleet: PlaceFleet, slot: number, key: string, max: number): Promise<boolean> {
  const lease = fleet.lease(slot);
  const entry = lease.enter(key, max);
  if (entry !== 'unknown') return Promise.resolve(entry === 'entered');
  return new Promise((resolve) => void lease.whenFree(key, max, 'brief', resolve));
}

async function entered(fleet: PlaceFleet, tries: readonly Promise<boolean>[], ms = 30): Promise<number> {
  await fleet.pass(ms);
  return (await Promise.all(tries)).filter(Boolean).length;
}

const over = (workers: number, count: number): number[] => Array.from({ length: count }, (_, index) => index % workers);

describe('places over several workers', () => {
  it('as many as there are get in, however they come to the workers, and not one more', async () => {
    for (const max of [1, 2, 3, 7, 64]) {
      const fleet = new PlaceFleet({ workers: 4 });
      const tries = over(4, max * 3).map((slot) => enter(fleet, slot, 'a', max));
      expect([max, await entered(fleet, tries)]).toEqual([max, max]);
    }
  });

  it('a place that one worker keeps free is there for another that lacks it', async () => {
    const fleet = new PlaceFleet({ workers: 2 });
    expect(await entered(fleet, [enter(fleet, 0, 'a', 1)])).toBe(1);
    fleet.lease(0).leave('a');
    expect(await entered(fleet, [enter(fleet, 1, 'a', 1)])).toBe(1);
    expect(await entered(fleet, [enter(fleet, 0, 'a', 1)])).toBe(0);
  });

  it('a busy worker is waited for; a stopped one only once, and it keeps what it holds', async () => {
    const fleet = new PlaceFleet({ workers: 2 });
    await entered(fleet, [enter(fleet, 0, 'a', 2)]);
    const { receive } = fleet.lease(0);
    fleet.lease(0).receive = (message) => void fleet.clock.after(80, () => receive.call(fleet.lease(0), message));
    expect(await entered(fleet, [enter(fleet, 1, 'a', 2)], 150)).toBe(1);
    fleet.lease(0).receive = () => undefined;
    expect(await entered(fleet, [enter(fleet, 1, 'a', 2)], 150)).toBe(0);
    expect(await entered(fleet, [enter(fleet, 1, 'a', 2)], 1)).toBe(0);
    expect([fleet.lease(1).isSilent, fleet.authority.heldOf('a')]).toEqual([false, 2]);
  });

  it('requests that come and go in one worker need no message each', async () => {
    const fleet = new PlaceFleet({ workers: 4 });
    await entered(fleet, [enter(fleet, 0, 'a', 64)]);
    const before = fleet.sent.get('ask') ?? 0;
    for (let i = 0; i < 1000; i++) {
      fleet.lease(0).leave('a');
      expect(fleet.lease(0).enter('a', 64)).toBe('entered');
    }
    expect((fleet.sent.get('ask') ?? 0) - before).toBe(0);
  });

  it('a caller with one call at a time asks once, however many it might have at once and whenever it comes back', async () => {
    const fleet = new PlaceFleet({ workers: 2 });
    await entered(fleet, [enter(fleet, 0, 'a', 100_000)]);
    fleet.lease(0).leave('a');
    for (let i = 0; i < 20; i++) {
      await fleet.pass(IDLE_MS - 100, 5);
      expect(fleet.lease(0).enter('a', 100_000)).toBe('entered');
      fleet.lease(0).leave('a');
    }
    expect([fleet.sent.get('ask'), fleet.authority.heldOf('a')]).toEqual([1, 2]);
  });

  it('as many places are kept ahead as were used at once, and fewer when that is long ago', async () => {
    const fleet = new PlaceFleet({ workers: 2 });
    const many = Array.from({ length: 100 }, () => enter(fleet, 0, 'a', 100_000));
    expect(await entered(fleet, many)).toBe(100);
    for (let i = 0; i < 100; i++) fleet.lease(0).leave('a');
    await fleet.pass(500);
    expect(fleet.authority.heldOf('a')).toBeGreaterThanOrEqual(100);
    for (let i = 0; i < 40; i++) {
      fleet.lease(0).enter('a', 100_000);
      fleet.lease(0).leave('a');
      await fleet.pass(250);
    }
    expect(fleet.authority.heldOf('a')).toBeLessThanOrEqual(3);
  });

  it('a flood at a full key is refused here, with one question each five milliseconds', async () => {
    const fleet = new PlaceFleet({ workers: 2 });
    await entered(fleet, [enter(fleet, 0, 'a', 1)]);
    const before = fleet.sent.get('ask') ?? 0;
    for (let ms = 0; ms < 100; ms++) {
      for (let i = 0; i < 50; i++) void enter(fleet, 1, 'a', 1);
      await fleet.pass(1);
    }
    expect((fleet.sent.get('ask') ?? 0) - before).toBeLessThan(40);
  });

  it('the places of a dead worker are free again, and its successor begins with none', async () => {
    const fleet = new PlaceFleet({ workers: 2 });
    expect(await entered(fleet, [enter(fleet, 0, 'a', 2), enter(fleet, 0, 'a', 2)])).toBe(2);
    fleet.kill(0);
    await fleet.pass(1);
    expect(await entered(fleet, [enter(fleet, 1, 'a', 2), enter(fleet, 0, 'a', 2), enter(fleet, 1, 'a', 2)])).toBe(2);
  });

  it('idle places go back, and nothing is kept of a key that nobody uses', async () => {
    const fleet = new PlaceFleet({ workers: 2 });
    await entered(
      fleet,
      over(2, 20).map((slot) => enter(fleet, slot, 'a', 64)),
    );
    for (const slot of over(2, 20)) fleet.lease(slot).leave('a');
    await fleet.pass(2000, 5);
    expect([fleet.authority.size, fleet.lease(0).size, fleet.lease(1).size, fleet.clock.timers]).toEqual([0, 0, 0, 0]);
  });

  it('what a caller notes of its places is believed only as long as it holds', async () => {
    const fleet = new PlaceFleet({ workers: 2 });
    const note = newPlaceNote();
    const lease = fleet.lease(0);
    for (const key of ['a', 'b']) {
      await entered(fleet, [enter(fleet, 0, key, 8)]);
      lease.leave(key);
    }
    await entered(fleet, [enter(fleet, 1, 'a', 8)]);
    expect([lease.enter('a', 8, note), note.places === null]).toEqual(['entered', false]);
    // Of another key, and in another worker, each of which has its own.
    lease.leave('a', note);
    expect(lease.enter('b', 8, note)).toBe('entered');
    lease.leave('b', note);
    expect(fleet.lease(1).enter('a', 8, note)).toBe('entered');
    fleet.lease(1).leave('a', note);
    expect(() => lease.leave('a', note)).toThrow(RangeError);
    // Of places that were forgotten since: those of the key are others by now.
    expect(lease.enter('a', 8, note)).toBe('entered');
    lease.leave('a', note);
    await fleet.pass(2 * IDLE_MS + 2000, 5);
    expect([lease.size, fleet.authority.size, lease.enter('a', 8, note)]).toEqual([0, 1, 'unknown']);
    expect(await entered(fleet, [enter(fleet, 0, 'a', 8), enter(fleet, 1, 'a', 8), enter(fleet, 1, 'a', 8)])).toBe(3);
    lease.leave('a', note);
    expect(() => lease.leave('a', note)).toThrow(RangeError);
  });

  it('what is entered and left plainly counts and says the same as what its keeper does', async () => {
    for (const max of [1, 2, 8, 64]) {
      const fleets = [new PlaceFleet({ workers: 2 }), new PlaceFleet({ workers: 2 })] as const;
      const note = newPlaceNote();
      let plain = 0;
      let inUse = 0;
      for (let step = 0; step < 400; step++) {
        const isLeaving = inUse > 0 && (step * 7919) % 13 > (step % 200 < 100 ? 5 : 7);
        const results = fleets.map((fleet, at) => {
          const lease = fleet.lease(0);
          const isPlain = at === 0 && (isLeaving ? leavePlain(note) : enterPlain(note));
          if (isPlain) plain += 1;
          if (isLeaving) return isPlain ? undefined : lease.leave('a', at === 0 ? note : null);
          return isPlain ? 'entered' : lease.enter('a', max, at === 0 ? note : null);
        });
        expect(results[0]).toBe(results[1]);
        if (isLeaving) inUse -= 1;
        else if (results[0] === 'entered') inUse += 1;
        else if (results[0] === 'unknown') {
          const came = await Promise.all(fleets.map((fleet) => entered(fleet, [enter(fleet, 0, 'a', max)])));
          expect(came[0]).toBe(came[1]);
          inUse += came[0] ?? 0;
        }
        // The other worker calls some back now and then.
        for (const fleet of fleets) {
          if (step % 90 === 50) void enter(fleet, 1, 'a', max).then((isIn) => void (isIn && fleet.lease(1).leave('a')));
          if (step % 10 === 0) await fleet.pass(3);
        }
        expect(fleets[0].lease(0).figures()).toEqual(fleets[1].lease(0).figures());
        expect([...fleets[0].sent]).toEqual([...fleets[1].sent]);
      }
      expect(plain).toBeGreaterThan(max > 2 ? 200 : 20);
    }
  });

  it('nobody leaves plainly while another waits for the place', async () => {
    const fleet = new PlaceFleet({ workers: 2 });
    const lease = fleet.lease(0);
    const note = newPlaceNote();
    await entered(fleet, [enter(fleet, 0, 'a', 1)]);
    expect(lease.enter('a', 1, note)).not.toBe('entered');
    const came: boolean[] = [];
    lease.whenFree('a', 1, 'patient', (isEntered) => came.push(isEntered));
    expect([enterPlain(note), leavePlain(note)]).toEqual([false, false]);
    lease.leave('a', note);
    await fleet.pass(1);
    expect(came).toEqual([true]);
    expect(leavePlain(note)).toBe(true);
  });

  it('of a closed keeper nothing is entered plainly', async () => {
    const fleet = new PlaceFleet({ workers: 2 });
    const note = newPlaceNote();
    await entered(fleet, [enter(fleet, 0, 'a', 8)]);
    fleet.lease(0).leave('a', note);
    expect([enterPlain(note), leavePlain(note)]).toEqual([true, true]);
    // Who has entered plainly leaves by its keeper all the same.
    expect(enterPlain(note)).toBe(true);
    fleet.lease(0).close();
    expect([enterPlain(note), leavePlain(note)]).toEqual([false, false]);
    fleet.lease(0).leave('a', note);
    expect(() => fleet.lease(0).leave('a', note)).toThrow(RangeError);
    expect([enterPlain(note), leavePlain(note)]).toEqual([false, false]);
  });

  it('of ten thousand keys nothing is kept of those that nobody uses, but later', async () => {
    const fleet = new PlaceFleet({ workers: 2, maxKeys: 20_000 });
    const keys = over(1, 10_000).map((_, at) => `k${at}`);
    expect(
      await entered(
        fleet,
        keys.map((key) => enter(fleet, 0, key, 64)),
      ),
    ).toBe(10_000);
    for (const key of keys.slice(1)) fleet.lease(0).leave(key);
    await fleet.pass(5000 + IDLE_MS, 100);
    expect([fleet.authority.size, fleet.lease(0).size]).toEqual([1, 1]);
    fleet.lease(0).leave('k0');
    await fleet.pass(5000 + IDLE_MS, 100);
    expect([fleet.authority.size, fleet.lease(0).size, fleet.clock.timers]).toEqual([0, 0, 0]);
  });

  it('a caller who comes back before its places are idle has them at once, and nobody is asked', async () => {
    const fleet = new PlaceFleet({ workers: 2 });
    expect(await entered(fleet, [enter(fleet, 0, 'a', 64)])).toBe(1);
    fleet.lease(0).leave('a');
    for (let i = 0; i < 20; i++) {
      await fleet.pass(IDLE_MS - 100, 5);
      expect(fleet.lease(0).enter('a', 64)).toBe('entered');
      fleet.lease(0).leave('a');
    }
    expect([fleet.sent.get('ask'), fleet.sent.get('back') ?? 0]).toEqual([1, 0]);
    await fleet.pass(2 * IDLE_MS, 5);
    expect([fleet.authority.size, fleet.lease(0).size]).toEqual([0, 0]);
  });

  it('who waits patiently is served in turn with other workers, also when a worker always has more to do', async () => {
    const fleet = new PlaceFleet({ workers: 2 });
    const served = [0, 0];
    const again = (slot: number): void =>
      void fleet.lease(slot).whenFree('upstream:one', 1, 'patient', () => {
        served[slot] = (served[slot] ?? 0) + 1;
        fleet.clock.after(1, () => {
          fleet.lease(slot).leave('upstream:one');
          again(slot);
        });
      });
    for (const slot of [0, 0, 0, 0, 1]) again(slot);
    await fleet.pass(500);
    const [first = 0, second = 0] = served;
    expect(first + second).toBeGreaterThan(150);
    expect(second).toBeGreaterThan((first + second) / 6);
  });

  it('who no longer waits leaves no place behind', async () => {
    const fleet = new PlaceFleet({ workers: 2 });
    await entered(fleet, [enter(fleet, 0, 'a', 1)]);
    const calls: boolean[] = [];
    const ticket = fleet.lease(1).whenFree('a', 1, 'patient', (isEntered) => calls.push(isEntered));
    await fleet.pass(5);
    ticket.cancel();
    fleet.lease(0).leave('a');
    await fleet.pass(2000, 5);
    expect([calls, fleet.authority.size]).toEqual([[], 0]);
  });

  it('a place given back twice opens nothing', async () => {
    const fleet = new PlaceFleet({ workers: 2 });
    await entered(fleet, [enter(fleet, 0, 'a', 2)]);
    for (let i = 0; i < 10; i++) fleet.authority.receive(1, { type: 'back', key: 'a', places: 5, isRecall: false });
    for (let i = 0; i < 10; i++) fleet.authority.receive(0, { type: 'back', key: 'a', places: -3, isRecall: false });
    expect(fleet.authority.heldOf('a')).toBeGreaterThanOrEqual(1);
    expect(() => fleet.lease(1).leave('a')).toThrow(RangeError);
  });

  it('keys of an attacker do not grow the tables beyond their bound: what has no room is refused', async () => {
    const fleet = new PlaceFleet({ workers: 2, maxKeys: 10 });
    const tries = Array.from({ length: 100 }, (_, index) => enter(fleet, 0, `key-${index}`, 4));
    expect(await entered(fleet, tries, 200)).toBe(10);
    expect([fleet.authority.size, fleet.lease(0).size]).toEqual([10, 10]);
  });
});

describe('places without their authority', () => {
  const tries = (fleet: PlaceFleet, count: number): Promise<boolean>[] => over(4, count).map((slot) => enter(fleet, slot, 'a', 8));

  it.each([
    ['local', 8],
    ['closed', 0],
    ['open', 32],
  ] as const)('%s: of 100 requests %i get in', async (failMode, expected) => {
    const fleet = new PlaceFleet({ workers: 4, failMode });
    fleet.isStopped = true;
    expect(await entered(fleet, tries(fleet, 100), 250)).toBe(expected);
  });

  it('only the first waits of a silence take their time; the later are decided at once', async () => {
    const fleet = new PlaceFleet({ workers: 1, failMode: 'closed' });
    fleet.isStopped = true;
    await entered(fleet, [enter(fleet, 0, 'a', 8)], 250);
    expect([fleet.lease(0).isSilent, fleet.lease(0).enter('a', 8), fleet.lease(0).enter('b', 8)]).toEqual([true, 'full', 'full']);
  });

  it('a primary that stands still for a moment is waited for, and nothing is taken without it', async () => {
    const fleet = new PlaceFleet({ workers: 4, failMode: 'local' });
    fleet.isStopped = true;
    const waiting = tries(fleet, 100);
    await fleet.pass(150);
    fleet.resume();
    expect([await entered(fleet, waiting), fleet.lease(0).figures().unleased]).toEqual([8, 0]);
  });

  it('what was taken meanwhile counts when the authority is back', async () => {
    const fleet = new PlaceFleet({ workers: 4, failMode: 'local' });
    fleet.isStopped = true;
    expect(await entered(fleet, tries(fleet, 100), 250)).toBe(8);
    fleet.resume();
    await fleet.pass(30);
    expect([fleet.lease(0).isSilent, await entered(fleet, tries(fleet, 8))]).toEqual([false, 0]);
    for (const slot of over(4, 8)) fleet.lease(slot).leave('a');
    await fleet.pass(2000, 5);
    expect(fleet.authority.size).toBe(0);
  });
});
