import { describe, expect, it } from 'vitest';
import { FairQueue, type Queued } from '../../src/upstream/fair-queue.ts';

interface Item extends Queued {
  readonly name: string;
}

function item(name: string, bytes = 1): Item {
  return { name, bytes, principalKey: name.slice(0, 1) };
}

function drain(queue: FairQueue<Item>): string {
  const names: string[] = [];
  for (let next = queue.shift(); next !== null; next = queue.shift()) names.push(next.name);
  return names.join(' ');
}

function filled(max: number, names: string): FairQueue<Item> {
  const queue = new FairQueue<Item>(max);
  for (const name of names.split(' ')) queue.push(item(name));
  return queue;
}

describe('FairQueue', () => {
  it('lets the principals take turns, each first come first served', () => {
    expect(drain(filled(10, 'a1 a2 a3 a4 b1 c1 b2'))).toBe('a1 b1 c1 a2 b2 a3 a4');
  });

  it('who comes late has his turn after one of each, not after all', () => {
    const queue = filled(100, Array.from({ length: 50 }, (_, index) => `a${index}`).join(' '));
    queue.shift();
    queue.push(item('z1'));
    queue.shift();
    expect(queue.shift()?.name).toBe('z1');
  });

  it('one caller cannot fill it: who has nothing in it displaces the newest of who has most', () => {
    const queue = filled(4, 'a1 a2 b1 a3');
    expect(queue.push(item('c1'))?.name).toBe('a3');
    expect([queue.size, drain(queue)]).toEqual([4, 'a1 b1 c1 a2']);
  });

  it('is full for who has something in it, and for everybody when each has one', () => {
    expect(filled(3, 'a1 a2 b1').push(item('b2'))?.name).toBe('b2');
    expect(filled(3, 'a1 b1 c1').push(item('d1'))?.name).toBe('d1');
  });

  it('is bounded in bytes too, and knows them again when something leaves', () => {
    const queue = new FairQueue<Item>(100);
    const large = item('a1', 16 * 1024 * 1024);
    expect([queue.push(large), queue.push(item('b1'))?.name]).toEqual([null, 'b1']);
    expect([queue.remove(large), queue.remove(large), queue.push(item('b1')), queue.size]).toEqual([true, false, null, 1]);
  });
});
