import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { literalOf, matchName, parseGlob, PatternError } from '../../src/policy/glob.ts';

/** What a glob means, by recursion and without any regard to time. */
function matchesNaively(pattern: readonly string[], value: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return value.length === 0;
  if (first === '*') return Array.from({ length: value.length + 1 }, (_, i) => i).some((i) => matchesNaively(rest, value.slice(i)));
  const [char, ...others] = value;
  if (char === undefined) return false;
  const isMatch =
    first === '?' || first === char || (first === '[ab]' && 'ab'.includes(char)) || (first === '[!ab]' && !'ab'.includes(char));
  return isMatch && matchesNaively(rest, others);
}

function matches(pattern: string, name: string): boolean {
  return matchName(parseGlob(pattern), name);
}

describe('matchName', () => {
  it('agrees with the definition on every pattern and name', () => {
    const element = fc.constantFrom('*', '*', '?', '[ab]', '[!ab]', 'a', 'b', 'c', '😀');
    const char = fc.constantFrom('a', 'b', 'c', '😀', '/');
    fc.assert(
      fc.property(fc.array(element, { maxLength: 8 }), fc.array(char, { maxLength: 9 }), (pattern, name) => {
        expect(matches(pattern.join(''), name.join(''))).toBe(matchesNaively(pattern, name));
      }),
      { numRuns: 5000 },
    );
  });

  it.each([
    ['read_*', 'read_file', true],
    ['read_*', 'read_', true],
    ['read_*', 'Read_file', false],
    ['read_*', 'xread_file', false],
    ['fs/*', 'fs/a/b', true],
    ['*', '', true],
    ['**', 'a/b', true],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['a?c', 'a😀c', true],
    ['[ab]x', 'bx', true],
    ['[!ab]x', 'bx', false],
    ['[!ab]x', 'cx', true],
    ['[!ab]x', 'x', false],
    ['[a-c0-9_]', '5', true],
    ['[a-]', '-', true],
    ['[-a]', '-', true],
    ['[a\\-c]', 'b', false],
    ['[\\]]', ']', true],
    ['[*]', '*', true],
    ['[*]', 'x', false],
    ['[\\^a]', '^', true],
    ['\\*', '*', true],
    ['\\*', 'x', false],
    ['\\a', 'a', true],
    ['a.c', 'abc', false],
    ['a+', 'aa', false],
    ['(a|b)', 'a', false],
    ['*\n*', 'a\nb', true],
    ['*x', 'a\nx', true],
  ])('%j on %j is %s', (pattern, name, expected) => {
    expect(matches(pattern, name)).toBe(expected);
  });

  it('stays within pattern times name for patterns that blow up naive matchers', () => {
    const name = 'a'.repeat(1024);
    const start = performance.now();
    for (const pattern of [
      `${'*a'.repeat(300)}*b`,
      `${'a*'.repeat(300)}b`,
      `${'*'.repeat(600)}b`,
      `*${'a'.repeat(500)}b`,
      `${'*?'.repeat(300)}b`,
    ]) {
      expect(matches(pattern, name)).toBe(false);
    }
    // Half a million steps each at the very most; exponential ones would not end.
    expect(performance.now() - start).toBeLessThan(2000);
  });
});

describe('parseGlob', () => {
  it.each(['[', 'a[', '[]', '[!]', '[a', '[a-', '[a\\', 'a]', '\\', 'a\\', '[z-a]', '[^a]', '{a,b}', 'a{', 'a}'])(
    'refuses %j',
    (pattern) => {
      expect(() => parseGlob(pattern)).toThrow(PatternError);
    },
  );

  it('tells what to write instead', () => {
    expect(() => parseGlob('[^ab]')).toThrow(/write \[!…\]/);
    expect(() => parseGlob('{a,b}')).toThrow(/one by one/);
    expect(() => parseGlob('[z-a]')).toThrow(/"z-a" is reversed/);
  });
});

describe('literalOf', () => {
  it('is the text of a pattern without wildcards, without its escapes', () => {
    expect(literalOf(parseGlob('a\\*b😀'))).toBe('a*b😀');
    for (const pattern of ['*', 'a?', '[a]']) expect(literalOf(parseGlob(pattern))).toBe(null);
  });
});
