import { describe, expect, it } from 'vitest';
import type { SessionNews } from '../../src/core/session-news.ts';
import { NewsOutbox } from '../../src/process/news-outbox.ts';

const used = (...refs: string[]): SessionNews => ({ touched: refs.map((ref) => ({ ref, owner: 'o' })), ended: [], cancelled: [] });
const over = (...refs: string[]): SessionNews => ({ touched: [], ended: refs.map((ref) => ({ ref, untilMs: 1000 })), cancelled: [] });

function refsOf(outbox: NewsOutbox): string[] {
  const news = outbox.take();
  return [...(news?.touched ?? []), ...(news?.ended ?? [])].map(({ ref }) => ref);
}

describe('what a host tells others', () => {
  it('is the first use of a session in a stretch at once, and one more when it is over if there were others', () => {
    const outbox = new NewsOutbox();
    outbox.add(used('a', 'b'));
    expect(refsOf(outbox)).toEqual(['a', 'b']);
    for (let n = 0; n < 5; n++) outbox.add(used('a'));
    expect(outbox.take()).toBeNull();
    outbox.turn(0);
    expect(refsOf(outbox)).toEqual(['a']);
    outbox.turn(0);
    expect(outbox.take()).toBeNull();
  });

  it('is an end once, also when workers say it again or another host said it first, until nobody needs to remember it', () => {
    const outbox = new NewsOutbox();
    outbox.add(over('a'));
    outbox.knows(over('b'));
    expect(refsOf(outbox)).toEqual(['a']);
    outbox.add(over('a', 'b'));
    outbox.turn(999);
    expect(outbox.take()).toBeNull();
    outbox.turn(1001);
    outbox.add(over('a'));
    expect(refsOf(outbox)).toEqual(['a']);
  });

  it('leaves in small batches, is bounded while it cannot leave, and what there is no room for is counted', () => {
    const outbox = new NewsOutbox();
    const many = Array.from({ length: 70_000 }, (_, n) => `s${n}`);
    outbox.add(over(...many));
    outbox.add({ touched: [], ended: [], cancelled: many.map((ref) => ({ ref, idToken: '"x"' })) });
    outbox.add({ touched: [], ended: [], cancelled: [{ ref: 'a', idToken: '1'.repeat(129) }] });
    expect(outbox.dropped).toBe(2 * (70_000 - 65_536) + 1);
    const first = outbox.take();
    expect([first?.ended.length, first?.cancelled.length]).toEqual([100, 50]);
    let batches = 1;
    while (outbox.take() !== null) batches += 1;
    expect(batches).toBe(Math.ceil(65_536 / 50));
  });
});
