import { beforeEach, describe, expect, it } from 'vitest';
import type { LeaseAnswer } from '../../src/core/limit.ts';
import type { LimitSpec } from '../../src/core/principal.ts';
import { MemoryAuthority } from '../../src/limit/memory-authority.ts';
import { FakeClock } from '../upstream/fake-clock.ts';
import { Bench, specOf } from './limit-support.ts';

const WORKERS = 2;
/** Two tokens for each of two workers. */
const SMALL = specOf(100, 10);

let clock: FakeClock;
let authority: MemoryAuthority;
let workers: Bench[];

function at(worker: number): Bench {
  return workers[worker] as Bench;
}

/** What is sent reaches the others until nothing moves. */
function settle(): void {
  for (let round = 0; round < 4; round++) for (const worker of workers) worker.turn();
}

async function flood(worker: number, count: number, spec: LimitSpec, key = 'a'): Promise<number> {
  const requests = Array.from({ length: count }, () => at(worker).request(key, spec));
  settle();
  const takes = await Promise.all(requests);
  return takes.filter((take) => take === 'taken').length;
}

function asksOf(worker: number): number {
  return at(worker).limiter.stats().asks;
}

beforeEach(() => {
  clock = new FakeClock();
  authority = new MemoryAuthority({ holders: WORKERS, capacity: 256, idleTtlMs: 1_000, clock });
  workers = Array.from(
    { length: WORKERS },
    (_, holder) => new Bench({ workers: WORKERS, holder, authority, clock, hasRecalls: true, idleTtlMs: 100_000 }),
  );
  authority.startRecalls((holder, key, recall) => at(holder).recall(key, recall));
});

describe('a small limit that is fast', () => {
  it('is spent from a lease, without waiting, once it is known', async () => {
    expect(await flood(0, 1, SMALL)).toBe(1);
    expect(at(0).take('a', SMALL)).toBe('taken');
    expect(at(0).take('a', SMALL)).toBe('taken');
    expect(at(0).limiter.stats().waits).toBe(1);
  });

  it('is exact all the same: what lies at another worker is called back for who lacks it', async () => {
    expect(await flood(1, 1, SMALL)).toBe(1);
    expect(await flood(0, 30, SMALL)).toBe(9);
    expect(await flood(1, 5, SMALL)).toBe(0);
  });

  it('leaves out a worker that does not answer: its tokens are missing, and nobody waits for long', async () => {
    expect(await flood(1, 1, SMALL)).toBe(1);
    at(1).isHeld = true;
    const requests = Array.from({ length: 30 }, () => at(0).request('a', SMALL));
    settle();
    clock.advance(20);
    settle();
    const takes = await Promise.all(requests);
    // Two were refilled in the 20 ms.
    expect(takes.filter((take) => take === 'taken').length).toBeLessThanOrEqual(9);
    expect(takes.filter((take) => take === 'taken').length).toBeGreaterThanOrEqual(7);
  });

  it('gives nothing to a worker that has a recall to answer', async () => {
    expect(await flood(1, 1, SMALL)).toBe(1);
    at(1).isHeld = true;
    void flood(0, 30, SMALL);
    clock.advance(60);
    settle();
    const before = at(1).sent.length;
    authority.ask(1, { key: 'a', limit: 'principal', spec: SMALL, want: 2, atLeast: 2, have: 0, ahead: 2 }, ({ granted, waitMs }) => {
      expect(granted).toBe(0);
      expect(waitMs).toBeGreaterThan(0);
    });
    expect(at(1).sent).toHaveLength(before);
    expect(
      at(1)
        .sent.flatMap(({ returns }) => returns)
        .some(({ recall }) => recall > 0),
    ).toBe(true);
  });

  it('is asked for by each request for a while after it ran short, so that nobody has to call back', async () => {
    expect(await flood(0, 12, SMALL)).toBe(10);
    clock.advance(30);
    settle();
    expect(await flood(0, 1, SMALL)).toBe(1);
    const asks = asksOf(0);
    expect(await flood(0, 1, SMALL)).toBe(1);
    expect(asksOf(0)).toBeGreaterThan(asks);
    expect(at(0).limiter.view(clock.nowMs(), 10)[0]).toMatchObject({ leased: 0, deniedForMs: 0 });
  });

  it('holds nothing for a key that could not be called back: one that travels as a digest, or is no text', async () => {
    for (const key of ['x'.repeat(600), 'lone \ud800']) {
      expect(await flood(0, 1, SMALL, key)).toBe(1);
      const view = at(0)
        .limiter.view(clock.nowMs(), 10)
        .find((bucket) => bucket.key === key);
      expect(view?.leased).toBe(0);
    }
  });

  it('keeps what is granted for requests that wait for another limit as well', async () => {
    expect(await flood(0, 1, SMALL, 'b')).toBe(1);
    expect(at(0).recall('b', 99)).toBe(true);
    settle();
    const answer = at(0)
      .sent.flatMap(({ returns }) => returns)
      .find(({ recall }) => recall === 99);
    expect(answer).toMatchObject({ key: 'b', have: 0 });
    expect(at(0).recall('never seen', 100)).toBe(true);
    settle();
    const unknown = at(0)
      .sent.flatMap(({ returns }) => returns)
      .find(({ recall }) => recall === 100);
    expect(unknown).toMatchObject({ tokens: 0, have: 2 ** 30 });
  });
});

describe('a small limit that is slow', () => {
  it('is asked for each time, and nothing of it lies anywhere', async () => {
    const slow = specOf(19, 10);
    expect(await flood(1, 1, slow)).toBe(1);
    expect(at(1).limiter.view(clock.nowMs(), 10)[0]?.leased).toBe(0);
    expect(await flood(0, 30, slow)).toBe(9);
  });
});

describe('a recall that is not answered', () => {
  const SPEC = specOf(200, 12);
  let asked: { holder: number; recall: number }[];
  let three: MemoryAuthority;

  function ask(holder: number, want: number, ahead: number, spec: LimitSpec = SPEC): LeaseAnswer[] {
    const answers: LeaseAnswer[] = [];
    three.ask(holder, { key: 'a', limit: 'principal', spec, want, atLeast: want, have: 0, ahead }, (answer) => answers.push(answer));
    return answers;
  }

  beforeEach(() => {
    asked = [];
    three = new MemoryAuthority({ holders: 3, capacity: 16, idleTtlMs: 1_000, clock });
    three.startRecalls((holder, _key, recall) => asked.push({ holder, recall }) > 0);
    ask(1, 2, 2);
    ask(0, 11, 0);
    clock.advance(20);
  });

  it('keeps nobody from what others have given back since', () => {
    clock.advance(200);
    expect(ask(2, 2, 2)[0]?.granted).toBe(2);
    const answers = ask(0, 9, 0);
    expect(asked.map(({ holder }) => holder)).toEqual([1, 2]);
    three.giveBack(2, 'a', 2, 0);
    three.recalled(2, 'a', asked[1]?.recall ?? 0);
    expect(answers[0]?.granted).toBe(9);
  });

  it('is answered by its own number only', () => {
    clock.advance(200);
    expect(ask(2, 2, 2)[0]?.granted).toBe(2);
    const answers = ask(0, 9, 0);
    three.recalled(2, 'a', asked[0]?.recall ?? 0);
    expect(answers).toHaveLength(0);
    clock.advance(20);
    expect(answers[0]?.granted).toBe(0);
  });

  it('keeps its holder from grants also when the limit has grown to one with leases', () => {
    const grown = specOf(200, 1_200);
    expect(ask(1, 5, 0, grown)).toEqual([]);
    three.giveBack(1, 'a', 0, 0);
    three.recalled(1, 'a', asked[0]?.recall ?? 0);
    clock.advance(200);
    expect(ask(1, 5, 0, grown)[0]?.granted).toBe(5);
  });
});

it('waits for a recall with every worker that there may be', () => {
  const spec = specOf(1_000, 600);
  const many = new MemoryAuthority({ holders: 256, capacity: 16, idleTtlMs: 1_000, clock });
  const recalls: number[] = [];
  many.startRecalls((_holder, _key, recall) => recalls.push(recall) > 0);
  const granted: number[] = [];
  function ask(holder: number, want: number, ahead: number): void {
    const entry = { key: 'a', limit: 'principal', spec, want, atLeast: want, have: 0, ahead } as const;
    many.ask(holder, entry, (answer) => granted.push(answer.granted));
  }
  ask(255, 1, 1);
  ask(0, 600, 0);
  for (let holder = 1; holder < 256; holder++) ask(holder, 1, 0);
  expect(granted).toEqual([1]);
  many.giveBack(255, 'a', 1, 0);
  many.recalled(255, 'a', recalls[0] ?? 0);
  expect(granted).toHaveLength(257);
});

it('tells soon what was spent while an ask was under way', async () => {
  expect(await flood(0, 1, SMALL)).toBe(1);
  expect(at(0).take('a', SMALL)).toBe('taken');
  at(0).isHeld = true;
  clock.advance(5);
  at(0).turn();
  expect(at(0).take('a', SMALL)).toBe('taken');
  clock.advance(7);
  at(0).turn();
  const before = at(0).sent.length;
  at(0).isHeld = false;
  at(0).turn();
  clock.advance(6);
  at(0).turn();
  expect(
    at(0)
      .sent.slice(before)
      .flatMap(({ returns, asks }) => [...returns, ...asks])
      .map(({ key }) => key),
  ).toEqual(['a']);
});

/** Time in which the event loop stood still comes on top of what timers see. */
class StandingClock extends FakeClock {
  stoodMs = 0;

  override nowMs(): number {
    return super.nowMs() + this.stoodMs;
  }
}

it('reads what holders answered while the event loop stood still, before they are given up; but only once', () => {
  const standing = new StandingClock();
  const two = new MemoryAuthority({ holders: 2, capacity: 16, idleTtlMs: 1_000, clock: standing });
  two.startRecalls(() => true);
  const granted: number[] = [];
  two.ask(1, { key: 'a', limit: 'principal', spec: SMALL, want: 2, atLeast: 2, have: 0, ahead: 2 }, () => undefined);
  two.ask(0, { key: 'a', limit: 'principal', spec: SMALL, want: 10, atLeast: 10, have: 0, ahead: 0 }, (answer) =>
    granted.push(answer.granted),
  );
  standing.stoodMs = 50;
  standing.advance(20);
  expect(granted).toEqual([]);
  standing.stoodMs = 100;
  standing.advance(5);
  expect(granted).toEqual([0]);
});
