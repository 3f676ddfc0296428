import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LimitMode } from '../../src/core/limit.ts';
import type { LeaseAnswers } from '../../src/limit/lease-port.ts';
import { applyGrants, readAnswers, readRecalls, writeAnswers, writeRecalls } from '../../src/process/lease-answers.ts';

const u32 = fc.nat({ max: 2 ** 30 });
const answers: fc.Arbitrary<LeaseAnswers> = fc.record({
  stamp: fc.double({ min: 0, max: 1e12, noNaN: true }),
  sentMs: fc.double({ min: 0, max: 1e12, noNaN: true }),
  answers: fc.array(
    fc.record({
      slot: u32,
      generation: fc.nat({ max: 4095 }),
      granted: u32,
      left: u32,
      waitMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
      mode: fc.constantFrom<LimitMode>('remote', 'local', 'closed', 'open'),
    }),
    { maxLength: 6 },
  ),
});

describe('answers to asks as bytes', () => {
  it('arrive as they were sent', () => {
    fc.assert(
      fc.property(answers, (sent) => {
        expect(readAnswers(writeAnswers(sent, 0))).toEqual(sent);
      }),
    );
  });

  it('name their grants, and only those', () => {
    fc.assert(
      fc.property(answers, (sent) => {
        const grants: number[][] = [];
        expect(applyGrants(writeAnswers(sent, 0), (...grant) => grants.push(grant))).toBe(true);
        const expected = sent.answers.filter(({ granted }) => granted > 0);
        expect(grants).toEqual(expected.map(({ slot, generation, granted }) => [slot, generation, granted]));
      }),
    );
  });

  it('grant nothing at all when the frame is cut off', () => {
    const bytes = writeAnswers(
      { stamp: 1, sentMs: 2, answers: [{ slot: 1, generation: 1, granted: 5, left: 0, waitMs: 0, mode: 'remote' }] },
      0,
    );
    for (let length = 0; length < bytes.length; length++) {
      if (length === 17) continue;
      const grants: number[][] = [];
      expect(applyGrants(bytes.subarray(0, length), (...grant) => grants.push(grant))).toBe(false);
      expect(grants).toEqual([]);
      expect(readAnswers(bytes.subarray(0, length))).toBeNull();
    }
  });

  it('are refused with an unknown mode or a wait that is no number', () => {
    const fine = { slot: 1, generation: 1, granted: 0, left: 0, waitMs: 5, mode: 'remote' as const };
    const bytes = writeAnswers({ stamp: 1, sentMs: 2, answers: [fine] }, 0);
    bytes[17 + 22] = 9;
    expect(readAnswers(bytes)).toBeNull();
    expect(readAnswers(writeAnswers({ stamp: 1, sentMs: 2, answers: [{ ...fine, waitMs: Number.NaN }] }, 0))).toBeNull();
  });

  it('carry what is left as a whole number that fits', () => {
    const left = (value: number): number | undefined =>
      readAnswers(
        writeAnswers({ stamp: 1, sentMs: 2, answers: [{ slot: 0, generation: 0, granted: 0, left: value, waitMs: 0, mode: 'remote' }] }, 0),
      )?.answers[0]?.left;
    expect([left(-3), left(2.9), left(1e12)]).toEqual([0, 2, 0xffffffff]);
  });
});

describe('recalls as bytes', () => {
  const recalls = fc.array(
    fc.record({ key: fc.string({ maxLength: 120, unit: 'grapheme' }), recall: fc.integer({ min: 1, max: 2 ** 32 - 1 }) }),
  );

  it('arrive as they were sent, and are taken for no answers, nor answers for them', () => {
    fc.assert(
      fc.property(recalls, answers, (sent, others) => {
        expect(readRecalls(writeRecalls(sent, 4).subarray(4))).toEqual(sent);
        expect(readAnswers(writeRecalls(sent, 0))).toBeNull();
        expect(applyGrants(writeRecalls(sent, 0), () => expect.fail('a grant'))).toBe(false);
        expect(readRecalls(writeAnswers(others, 0))).toBeNull();
      }),
    );
  });

  it('are refused when they are cut off', () => {
    const bytes = writeRecalls([{ key: 'api_key:alice', recall: 7 }], 0);
    for (let length = 2; length < bytes.length; length++) expect(readRecalls(bytes.subarray(0, length))).toBeNull();
  });
});
