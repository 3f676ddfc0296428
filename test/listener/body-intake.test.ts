import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BodyIntake } from '../../src/listener/body-intake.ts';

describe('the body intake', () => {
  it('gives back what it was fed, declared or not, whatever the pieces', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40_000 }), { maxLength: 6 }), fc.boolean(), (pieces, isDeclared) => {
        const whole = Buffer.concat(pieces);
        const intake = new BodyIntake(isDeclared ? whole.length : -1, 1_000_000);
        for (const piece of pieces) {
          const lent = Uint8Array.from(piece);
          intake.push(lent);
          lent.fill(0);
        }
        expect(intake.isTooLarge).toBe(false);
        expect(intake.take().equals(whole)).toBe(true);
      }),
    );
  });

  it('accepts exactly the limit and nothing above, counting on', () => {
    const intake = new BodyIntake(-1, 10);
    intake.push(Buffer.alloc(10));
    expect(intake.isTooLarge).toBe(false);
    intake.push(Buffer.alloc(1));
    intake.push(Buffer.alloc(5));
    expect(intake.isTooLarge).toBe(true);
    expect(intake.seenBytes).toBe(16);
    expect(intake.take()).toHaveLength(0);
  });

  it('is too large as soon as more arrives than was declared', () => {
    const intake = new BodyIntake(3, 10);
    intake.push(Buffer.from('abcd'));
    expect(intake.isTooLarge).toBe(true);
  });

  it('applies a lower limit to what was declared and to what arrived', () => {
    const declared = new BodyIntake(8, 10);
    declared.limitTo(7);
    expect(declared.isTooLarge).toBe(true);
    const arrived = new BodyIntake(-1, 10);
    arrived.push(Buffer.alloc(8));
    arrived.limitTo(8);
    expect(arrived.isTooLarge).toBe(false);
    arrived.limitTo(7);
    expect(arrived.isTooLarge).toBe(true);
  });

  it('keeps a million chunks of one byte in about their own size', () => {
    const intake = new BodyIntake(-1, 1_048_576);
    const byte = Buffer.from('x');
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 1_048_576; i += 1) intake.push(byte);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * 1_048_576);
    expect(intake.take()).toHaveLength(1_048_576);
  });
});
