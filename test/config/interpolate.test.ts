import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escapeReferences, interpolate } from '../../src/config/interpolate.ts';

const env = { A: 'one', EMPTY: '', NESTED: '${A}' };

function run(text: string): string | readonly string[] {
  const { value, faults } = interpolate(text, env, new Set());
  return faults.length === 0 ? value : faults;
}

describe('interpolate', () => {
  it.each([
    ['plain', 'plain'],
    ['${A}', 'one'],
    ['x-${A}-${A}', 'x-one-one'],
    ['${EMPTY}', ''],
    ['${EMPTY:-two}', 'two'],
    ['${NONE:-}', ''],
    ['${NONE:-a b:c-d}', 'a b:c-d'],
    ['$${A}', '${A}'],
    ['$A $$ cost$', '$A $$ cost$'],
    ['${NESTED}', '${A}'],
    ['$${A} ${A}', '${A} one'],
  ])('reads %s as %s', (text, value) => {
    expect(run(text)).toBe(value);
  });

  it('names the variable that is missing', () => {
    expect(run('${NONE} ${OTHER}')).toEqual([
      expect.stringContaining('NONE, which is not set'),
      expect.stringContaining('OTHER, which is not set'),
    ]);
  });

  it.each(['${', 'a ${A', '${}', '${1A}', '${A-b}', '${A:b}', '${A b}', '${A:-${B}}'])('refuses the malformed reference in %s', (text) => {
    expect(run(text)).toEqual(expect.arrayContaining([expect.stringContaining('malformed reference')]));
  });

  it('records the names it looked up and masks their values', () => {
    const used = new Set<string>();
    expect(interpolate('--token=${A}', env, used).masked).toBe('--token=***');
    expect([...used]).toEqual(['A']);
  });

  it('brings any text through, once escaped', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('$', '{', '}', 'A', ':', '-') }), (text) => {
        // A dollar in front of an escape would be read as part of it, as it would be for a person.
        fc.pre(!text.includes('$${'));
        expect(run(escapeReferences(text))).toBe(text);
      }),
    );
  });
});
