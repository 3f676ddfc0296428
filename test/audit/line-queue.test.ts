import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineQueue } from '../../src/audit/line-queue.ts';

describe('LineQueue', () => {
  it('gives back every line once, in order, in chunks of whole lines', () => {
    const line = fc.string({ maxLength: 12 }).map((text) => `${text.replaceAll('\n', '')}\n`);
    fc.assert(
      fc.property(
        fc.array(fc.array(line, { minLength: 1, maxLength: 6 }), { maxLength: 12 }),
        fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1 }),
        (batches, rooms) => {
          const queue = new LineQueue(1_000_000);
          for (const batch of batches) queue.push(batch.join(''), batch.length);
          let text = '';
          let lines = 0;
          for (let turn = 0; queue.bytes > 0; turn++) {
            const chunk = queue.take(rooms[turn % rooms.length] as number);
            const part = chunk?.bytes.toString() ?? '';
            expect(part.endsWith('\n')).toBe(true);
            text += part;
            lines += chunk?.lines ?? 0;
          }
          expect(text).toBe(batches.flat().join(''));
          expect(lines).toBe(batches.flat().length);
          expect(queue.lines).toBe(0);
        },
      ),
    );
  });

  it('refuses a batch that does not fit and keeps what it had', () => {
    const queue = new LineQueue(10);
    expect(queue.push('12345\n', 1)).toBe(true);
    expect(queue.push('12345\n', 1)).toBe(false);
    expect(queue.take(100)?.bytes.toString()).toBe('12345\n');
    expect(queue.take(100)).toBeNull();
  });

  it('never glues a batch without a last newline to the next one', () => {
    const queue = new LineQueue(100);
    queue.push('a', 1);
    queue.push('b\n', 1);
    expect(queue.take(100)?.bytes.toString()).toBe('a\nb\n');
  });

  it('gives a line that is longer than the room, alone', () => {
    const queue = new LineQueue(100);
    queue.push('0123456789\nab\n', 2);
    expect(queue.firstLineBytes).toBe(11);
    expect(queue.take(5)?.bytes.toString()).toBe('0123456789\n');
    expect(queue.clear()).toBe(1);
    expect(queue.firstLineBytes).toBe(0);
  });

  it('takes from a long queue as fast as from a short one', () => {
    const queue = new LineQueue(100_000_000);
    for (let i = 0; i < 200_000; i++) queue.push('line\n', 1);
    const before = process.cpuUsage();
    while (queue.take(100) !== null);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(1000);
    expect(queue.lines).toBe(0);
  });
});
