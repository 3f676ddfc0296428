import { describe, expect, it } from 'vitest';
import { type EventLine, type EventMemory, EventStore, type KeptEvent } from '../../src/upstream/event-store.ts';

const MIB = 1_048_576;
const ROOMY = { maxMessages: 1000, maxBytes: 10 * MIB, maxTotalBytes: 10 * MIB };

class Line implements EventLine {
  readonly events: KeptEvent[] = [];
  timesEmptied = 0;
  readonly #memory: EventMemory;

  constructor(memory: EventMemory | null) {
    if (memory === null) throw new Error('nothing is kept');
    this.#memory = memory;
  }

  emptied(): void {
    this.timesEmptied += 1;
  }

  keep(number: number, bytes: number): void {
    this.#memory.keep({ number, bytes: Buffer.alloc(bytes), isResponse: false, line: this });
  }

  get numbers(): number[] {
    return this.events.map(({ number }) => number);
  }
}

describe('what is kept of one session', () => {
  it('is so many messages, and the oldest go first, whichever stream they are of', () => {
    const store = new EventStore({ ...ROOMY, maxMessages: 3 });
    const memory = store.memoryFor('alice');
    const [one, two] = [new Line(memory), new Line(memory)];
    one.keep(1, 10);
    two.keep(1, 10);
    two.keep(2, 10);
    one.keep(2, 10);
    expect([one.numbers, two.numbers]).toEqual([[2], [1, 2]]);
    one.keep(3, 10);
    one.keep(4, 10);
    expect([one.numbers, two.numbers, two.timesEmptied]).toEqual([[2, 3, 4], [], 1]);
    expect(store.figures).toMatchObject({ messages: 3, dropped: 3 });
  });

  it('is so many bytes, what a message costs beside its own among them', () => {
    const store = new EventStore({ ...ROOMY, maxBytes: 10_000 });
    const line = new Line(store.memoryFor('alice'));
    for (let number = 1; number <= 100; number++) line.keep(number, 1);
    expect(line.events.length).toBeLessThan(50);
    line.keep(101, 9000);
    expect(line.numbers).toContain(101);
    expect(store.figures.bytes).toBeLessThanOrEqual(10_000);
  });

  it('is not given up for a message that is too large to be kept at all', () => {
    const store = new EventStore({ ...ROOMY, maxBytes: 10_000 });
    const line = new Line(store.memoryFor('alice'));
    line.keep(1, 100);
    line.keep(2, 10_000);
    expect([line.numbers, store.figures.dropped]).toEqual([[1], 1]);
  });

  it('is given back when a stream is forgotten, and when the session is over', () => {
    const store = new EventStore(ROOMY);
    const memory = store.memoryFor('alice');
    const [one, two] = [new Line(memory), new Line(memory)];
    for (const line of [one, two]) for (let number = 1; number <= 5; number++) line.keep(number, 100);
    memory?.forget(one);
    expect([one.numbers, store.figures.messages]).toEqual([[], 5]);
    memory?.clear();
    expect(store.figures).toEqual({ messages: 0, bytes: 0, dropped: 0 });
  });

  it('is nothing where nothing is to be kept', () => {
    expect(new EventStore({ ...ROOMY, maxMessages: 0 }).memoryFor('alice')).toBeNull();
  });
});

describe('what is kept of all sessions together', () => {
  it('is bounded too, and who holds most gives way: a flood in many sessions drops nothing of anybody else', () => {
    const store = new EventStore({ maxMessages: 1000, maxBytes: MIB, maxTotalBytes: 2 * MIB });
    const own = new Line(store.memoryFor('bob'));
    own.keep(1, 300_000);
    const floods = Array.from({ length: 16 }, () => new Line(store.memoryFor('mallory')));
    for (let number = 1; number <= 50; number++) for (const line of floods) line.keep(number, 50_000);
    expect(own.numbers).toEqual([1]);
    expect(store.figures.bytes).toBeLessThanOrEqual(2 * MIB);
    // Spread over the sessions of the flood, none of which is emptied for another.
    expect(Math.min(...floods.map(({ events }) => events.length))).toBeGreaterThan(0);
  });

  it('takes up no session that holds nothing', () => {
    const store = new EventStore({ maxMessages: 1000, maxBytes: 10_000, maxTotalBytes: 10_000 });
    const lines = Array.from({ length: 100 }, (_, index) => new Line(store.memoryFor(`caller ${index}`)));
    for (const line of lines) line.keep(1, 5000);
    expect(lines.filter(({ events }) => events.length > 0)).toHaveLength(1);
    expect(store.figures).toMatchObject({ messages: 1, dropped: 99 });
  });
});
