import { describe, expect, it } from 'vitest';
import { SessionSeats } from '../../src/upstream/session-seats.ts';
import { PlaceFleet } from '../limit/place-fleet.ts';

interface Place {
  readonly fleet: PlaceFleet;
  /** Those of one worker; each takes at most two of a caller. */
  seats(slot: number): SessionSeats;
  /** Whether a seat was still wanted, each time that one was pressed for. */
  readonly pressed: (() => boolean)[];
}

function place(): Place {
  const fleet = new PlaceFleet({ workers: 2 });
  const pressed: (() => boolean)[] = [];
  const onShortage = async (_caller: string | null, isWanted: () => boolean): Promise<void> => void pressed.push(isWanted);
  const seats = (slot: number): SessionSeats =>
    new SessionSeats({ places: fleet.lease(slot), clock: fleet.clock, server: 'program', maxSessions: 9, maxPerPrincipal: 2, onShortage });
  return { fleet, seats, pressed };
}

async function taken({ fleet }: Place, ms: number, ...tries: readonly Promise<boolean>[]): Promise<readonly boolean[]> {
  await fleet.pass(ms);
  return await Promise.all(tries);
}

describe('seats of sessions', () => {
  it('of a worker that is busy for a moment are waited for, and no session ends for them', async () => {
    const here = place();
    const [slow, other] = [here.seats(0), here.seats(1)];
    await taken(here, 30, slow.take('alice'), slow.take('alice'));
    slow.leave('alice');
    slow.leave('alice');
    const { receive } = here.fleet.lease(0);
    here.fleet.lease(0).receive = (message) => void here.fleet.clock.after(150, () => receive.call(here.fleet.lease(0), message));
    expect(await taken(here, 600, other.take('alice'))).toEqual([true]);
    expect(here.pressed).toEqual([]);
  });

  it('are pressed for while they are wanted, and refused when none ends', async () => {
    const here = place();
    const seats = here.seats(0);
    await taken(here, 30, seats.take('alice'), seats.take('alice'));
    const third = seats.take('alice');
    await here.fleet.pass(200);
    expect(here.pressed.map((isWanted) => isWanted())).toEqual([true]);
    expect(await taken(here, 1500, third)).toEqual([false]);
    expect(here.pressed.length).toBeGreaterThan(2);
    expect(here.pressed.some((isWanted) => isWanted())).toBe(false);
  });

  it('are pressed for at once when every worker has said that it uses what it holds, however many come together', async () => {
    const here = place();
    const [seats, other] = [here.seats(0), here.seats(1)];
    await taken(here, 30, seats.take('alice'), other.take('alice'));
    for (const one of [seats, other, seats]) void one.take('alice');
    await here.fleet.pass(10);
    expect(here.pressed.length).toBe(3);
  });

  it('are not pressed for at once as long as a worker that holds some has not been heard', async () => {
    const here = place();
    const [deaf, other] = [here.seats(0), here.seats(1)];
    await taken(here, 30, deaf.take('alice'), other.take('alice'));
    here.fleet.lease(0).receive = () => undefined;
    // At first it is waited for, then passed over.
    for (const patienceMs of [340, 240]) {
      const refused = other.take('alice');
      await here.fleet.pass(patienceMs);
      expect(here.pressed).toEqual([]);
      expect(await taken(here, 1500, refused)).toEqual([false]);
      expect(here.pressed.splice(0).length).toBeGreaterThan(2);
    }
  });

  it('are not wanted any more once there is one', async () => {
    const here = place();
    const [seats, other] = [here.seats(0), here.seats(1)];
    await taken(here, 30, seats.take('alice'), other.take('alice'));
    const third = seats.take('alice');
    await here.fleet.pass(300);
    other.leave('alice');
    expect(await taken(here, 200, third)).toEqual([true]);
    expect(here.pressed.map((isWanted) => isWanted())).toEqual([false, false]);
  });
});
