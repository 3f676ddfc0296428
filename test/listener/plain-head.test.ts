import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_FIELDS } from '../../src/core/field-text.ts';
import { limitFields, type LimitFigures, limitPolicy } from '../../src/core/limit-fields.ts';
import { answerLines } from '../../src/listener/answer-head.ts';
import { isPlain, plainHead } from '../../src/listener/plain-head.ts';

const LAST = '\r\nkeep-alive: timeout=8';
const POLICIES = [limitPolicy('principal', 1_000, 1), limitPolicy('tool', 11, 22), limitPolicy('in_flight', 2, null), NO_FIELDS];

function headers(id: string): string[] {
  return ['x-request-id', id, 'content-type', 'application/json', 'cache-control', 'no-store'];
}

function textOf(bytes: Uint8Array | null): string | undefined {
  return bytes === null ? undefined : Buffer.from(bytes).toString('latin1');
}

function figuresOf(policy: number, limit: number, remaining: number, resetSecs: number): LimitFigures {
  return { limitPolicy: POLICIES[policy] ?? NO_FIELDS, limit, limitRemaining: remaining, limitResetSecs: resetSecs };
}

describe('a head of most answers in bytes', () => {
  it('is what it is as text, whatever was written before it', () => {
    const figure = fc.oneof(fc.nat(12), fc.nat(1_200), fc.nat(2 ** 31 - 1), fc.constant(-0));
    const figures = fc.option(
      fc.tuple(fc.nat(POLICIES.length - 1), fc.integer({ min: -1, max: 1_000 }), figure, figure).map((parts) => figuresOf(...parts)),
      { nil: undefined },
    );
    const id = fc.string({ unit: 'grapheme-ascii', minLength: 36, maxLength: 36 });
    fc.assert(
      fc.property(fc.array(fc.tuple(id, figures), { minLength: 1, maxLength: 20 }), (answers) => {
        for (const [name, told] of answers) {
          expect(isPlain(headers(name))).toBe(true);
          expect(textOf(plainHead(headers(name), told, LAST))).toBe(answerLines(200, headers(name), limitFields(told)) + LAST);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('has every number of digits', () => {
    const name = randomUUID();
    for (let digits = 1; digits <= 10; digits++) {
      for (const figure of [10 ** (digits - 1), Math.min(10 ** digits - 1, 2 ** 31 - 1)]) {
        const told = figuresOf(0, 1, figure, figure);
        expect(textOf(plainHead(headers(name), told, LAST))).toBe(answerLines(200, headers(name), limitFields(told)) + LAST);
      }
    }
  });

  it('is left to the text where a figure is none', () => {
    for (const figure of [Number.NaN, Number.POSITIVE_INFINITY, -1, 0.5, 2 ** 31, '1\r\nset-cookie: a=b' as unknown as number]) {
      expect(plainHead(headers(randomUUID()), figuresOf(0, 1, figure, 1), LAST)).toBeNull();
      expect(plainHead(headers(randomUUID()), figuresOf(0, 1, 1, figure), LAST)).toBeNull();
    }
  });

  it('forgets limits that are gone', () => {
    const name = randomUUID();
    for (let burst = 1; burst <= 600; burst++) {
      const told = { limitPolicy: limitPolicy('tool', burst, burst), limit: burst, limitRemaining: burst, limitResetSecs: 0 };
      expect(textOf(plainHead(headers(name), told, LAST))).toBe(answerLines(200, headers(name), limitFields(told)) + LAST);
    }
  });

  it.each([
    [[]],
    [headers('short')],
    [headers('a'.repeat(37))],
    [headers(`${'a'.repeat(34)}\r\n`)],
    [headers(`${'a'.repeat(35)}\0`)],
    [headers(`${'a'.repeat(35)}\x7f`)],
    [headers(`${'a'.repeat(35)}é`)],
    [headers(`${'a'.repeat(35)}č`)],
    [[...headers(randomUUID()), 'retry-after', '1']],
    [['x-request-id', randomUUID(), 'content-type', 'text/event-stream', 'cache-control', 'no-store']],
    [['x-other', randomUUID(), 'content-type', 'application/json', 'cache-control', 'no-store']],
  ])('is not asked for other headers: %j', (other) => {
    expect(isPlain(other)).toBe(false);
  });
});
