import { describe, expect, it } from 'vitest';
import type { BucketView } from '../../src/core/limit.ts';
import { mergeLimits, SHOWN_BUCKETS } from '../../src/process/limits-view.ts';

function view(key: string, change: Partial<BucketView> = {}): BucketView {
  return {
    key,
    limit: 'principal',
    perSecond: 10,
    burst: 20,
    leased: 1,
    remaining: 5,
    refused: 0,
    deniedForMs: 0,
    mode: 'remote',
    ...change,
  };
}

const AUTHORITY = { kind: 'primary', mode: 'remote', size: 3, asks: 10, denials: 2, recalls: 0, tokens: 40 } as const;

describe('mergeLimits', () => {
  it('adds up what workers refused and names what each has leased', () => {
    const { buckets } = mergeLimits(
      [
        { worker: 1, buckets: [view('api_key:a', { leased: 4, remaining: 9, refused: 3, deniedForMs: 20 })], size: 1 },
        { worker: 0, buckets: [view('api_key:a', { leased: 2, remaining: 7, refused: 2, deniedForMs: 50 })], size: 1 },
      ],
      AUTHORITY,
    );
    expect(buckets).toEqual([
      {
        key: 'api_key:a',
        limit: 'principal',
        perSecond: 10,
        burst: 20,
        remaining: 7,
        refused: 5,
        deniedForMs: 50,
        mode: 'remote',
        leases: [
          { worker: 0, tokens: 2 },
          { worker: 1, tokens: 4 },
        ],
      },
    ]);
  });

  it('shows the mode of the worker that is worst off', () => {
    const answers = [
      { worker: 0, buckets: [view('a', { mode: 'local' })], size: 1 },
      { worker: 1, buckets: [view('a')], size: 1 },
    ];
    expect(mergeLimits(answers, AUTHORITY).buckets[0]?.mode).toBe('local');
    expect(mergeLimits(answers.toReversed(), AUTHORITY).buckets[0]?.mode).toBe('local');
  });

  it('puts who is refused most first, and ends at what is shown', () => {
    const many = Array.from({ length: SHOWN_BUCKETS + 200 }, (_, index) => view(`key-${index}`, { refused: index }));
    const { buckets } = mergeLimits([{ worker: 0, buckets: many, size: many.length }], AUTHORITY);
    expect(buckets).toHaveLength(SHOWN_BUCKETS);
    expect(buckets[0]?.refused).toBe(SHOWN_BUCKETS + 199);
  });

  it('names the authority, or the worker that has none', () => {
    const answers = [{ worker: 0, buckets: [], size: 12 }];
    expect(mergeLimits(answers, AUTHORITY).authority).toEqual(AUTHORITY);
    expect(mergeLimits(answers, null).authority).toEqual({
      kind: 'worker',
      mode: 'remote',
      size: 12,
      asks: 0,
      denials: 0,
      recalls: 0,
      tokens: 0,
    });
  });
});
