import { describe, expect, it } from 'vitest';
import type { RequestContext } from '../../src/core/context.ts';
import type { Exchange } from '../../src/core/exchange.ts';
import { fieldPairs } from '../../src/core/field-text.ts';
import type { LimitName } from '../../src/core/limit.ts';
import { newContext } from '../../src/pipeline/context.ts';
import { limitFields, limitPolicy } from '../../src/core/limit-fields.ts';

const NAMES: readonly LimitName[] = ['address', 'principal', 'tool', 'method', 'in_flight', 'upstream'];

function contextOf(figures: Partial<RequestContext>): RequestContext {
  return { ...newContext({ head: { requestId: 'id' } } as Exchange, 0), ...figures };
}

describe('what answers say of a limit', () => {
  it.each([0, 1, 59, 63, 64, 3_600])('in both notations, %d s before it is full again', (limitResetSecs) => {
    const context = contextOf({ limit: 1_000, limitPolicy: limitPolicy('principal', 1_000, 2), limitRemaining: 998, limitResetSecs });
    expect(Object.fromEntries(pairsOf(context))).toEqual({
      'x-ratelimit-limit': '1000',
      'x-ratelimit-remaining': '998',
      'x-ratelimit-reset': `${limitResetSecs}`,
      'ratelimit-policy': '"principal";q=1000;w=2',
      ratelimit: `"principal";r=998;t=${limitResetSecs}`,
    });
    expect(pairsOf(context)).toHaveLength(5);
  });

  it('names no window where time brings nothing', () => {
    const context = contextOf({ limit: 2, limitPolicy: limitPolicy('in_flight', 2, null), limitResetSecs: 1 });
    expect(Object.fromEntries(pairsOf(context))).toMatchObject({ 'ratelimit-policy': '"in_flight";q=2', ratelimit: '"in_flight";r=0;t=1' });
  });

  it('is nothing where nobody knows the figures', () => {
    expect(limitFields(contextOf({ limit: -1, limitPolicy: limitPolicy('principal', 1, 1) }))).toBe('');
  });

  it('is five lines and nothing else, whatever figures reach it', () => {
    const figures = [Number.NaN, Number.POSITIVE_INFINITY, -1, -0, 0.1, 1e21, 5e-324, 2 ** 53, '1\r\nset-cookie: a=b' as unknown as number];
    for (const name of NAMES) {
      for (const figure of figures) {
        const limitPolicyText = limitPolicy(name, figure, figure);
        const context = contextOf({ limit: 1, limitPolicy: limitPolicyText, limitRemaining: figure, limitResetSecs: figure });
        const pairs = pairsOf(context);
        expect(pairs.map(([field]) => field)).toEqual([
          'ratelimit-policy',
          'x-ratelimit-limit',
          'ratelimit',
          'x-ratelimit-reset',
          'x-ratelimit-remaining',
        ]);
        for (const [, value] of pairs) expect(value).toMatch(/^[\x20-\x7e]+$/);
      }
    }
  });
});

function pairsOf(context: RequestContext): [string, string][] {
  const parts = fieldPairs(limitFields(context));
  return Array.from({ length: parts.length / 2 }, (_, i) => [parts[2 * i] as string, parts[2 * i + 1] as string]);
}
