import { describe, expect, it } from 'vitest';
import type { Envelope } from '../../src/core/envelope.ts';
import { UPSTREAM_BUSY } from '../../src/core/errors.ts';
import { isFailure, parseMessage } from '../../src/mcp/parse.ts';
import { PoolCall } from '../../src/upstream/pool-call.ts';
import { PoolQueue } from '../../src/upstream/pool-queue.ts';
import { FakeClock } from './fake-clock.ts';

const LIMITS = { maxDepth: 8, maxKeys: 16, maxStringBytes: 256 };

interface Place {
  readonly clock: FakeClock;
  readonly queue: PoolQueue;
  readonly lacks: string[];
  readonly failed: unknown[];
  /** `life`: only that child can serve it. */
  call(era: 'legacy' | 'modern', life?: string): PoolCall;
}

function request(): Envelope {
  const message = parseMessage(Buffer.from('{"jsonrpc":"2.0","id":1,"method":"ping"}'), LIMITS);
  if (isFailure(message)) throw new Error(message.refusal.code);
  return message;
}

function place(): Place {
  const clock = new FakeClock();
  const [lacks, failed] = [[] as string[], [] as unknown[]];
  const queue = new PoolQueue({ clock, queueMs: 10_000, max: 3, isShared: true, onLack: (era) => lacks.push(era) });
  const sink = { onStream: () => undefined, onMessage: () => true, onReply: () => undefined, onCancelled: () => undefined };
  const call: Place['call'] = (era, life) => {
    const modern = { params: null, ...(life !== undefined && { life }) };
    const options = { restPath: '', principalKey: 'p', ...(era === 'modern' && { modern }) };
    const client = { ...sink, onFail: (refusal: unknown) => failed.push(refusal) };
    return new PoolCall({ onOver: (one) => void queue.leave(one) }, request(), options, '', client);
  };
  return { clock, queue, lacks, failed, call };
}

describe('calls that wait for a child', () => {
  it('say what they lack at once and again and again, until they have it or their time is over', () => {
    const { clock, queue, lacks, failed, call } = place();
    expect(queue.push(call('legacy'))).toBe(true);
    expect(lacks).toEqual(['legacy']);
    clock.advance(3000);
    expect(lacks.length).toBe(4);
    clock.advance(7000);
    expect(failed).toEqual([UPSTREAM_BUSY]);
    const { length } = lacks;
    clock.advance(60_000);
    expect([lacks.length, clock.timers]).toEqual([length, 0]);
  });

  it('for one child lack no other, and are served whoever else waits', () => {
    const { queue, lacks, call } = place();
    const [anyone, pinned] = [call('modern'), call('modern', 'life')];
    expect([queue.push(pinned), queue.isWanted(pinned), lacks]).toEqual([true, true, []]);
    queue.leave(pinned);
    queue.push(anyone);
    queue.push(pinned);
    const tried: PoolCall[] = [];
    queue.serve((call) => {
      tried.push(call);
      return call === anyone ? 'wait' : 'sent';
    }, '');
    expect(tried).toEqual([anyone, pinned]);
  });

  it('are no more than may wait', () => {
    const { queue, call } = place();
    expect([1, 2, 3, 4].map(() => queue.push(call('modern')))).toEqual([true, true, true, false]);
  });
});
