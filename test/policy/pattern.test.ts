import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PatternError } from '../../src/policy/glob.ts';
import { compilePattern, exactValueOf, matchesEveryName } from '../../src/policy/pattern.ts';

/** What a URI glob means, by recursion and without any regard to time. */
function matchesNaively(pattern: readonly string[], value: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return value.length === 0;
  if (first === '*' || first === '**') {
    if (matchesNaively(rest, value)) return true;
    return value.length > 0 && (first === '**' || value[0] !== '/') && matchesNaively(pattern, value.slice(1));
  }
  const [char, ...others] = value;
  if (char === undefined) return false;
  if (first.length > 1 && char === '/') return false;
  const isMatch =
    (first === '?' && char !== '/') || first === char || (first === '[!a]' && char !== 'a') || (first === '[.-0]' && '.0'.includes(char));
  return isMatch && matchesNaively(rest, others);
}

describe('compilePattern', () => {
  it('gives URI globs the meaning of their definition', () => {
    const element = fc.constantFrom('*', '**', '?', '[!a]', '[.-0]', 'a', '/', '.', '0');
    const patterns = fc
      .array(element, { minLength: 1, maxLength: 7 })
      .filter((list) => list.every((e, i) => !e.startsWith('*') || !list[i - 1]?.startsWith('*')));
    fc.assert(
      fc.property(patterns, fc.array(fc.constantFrom('a', 'b', '/', '.', '0', '\n'), { maxLength: 8 }), (pattern, value) => {
        expect(compilePattern(pattern.join(''), 'uri')(value.join(''))).toBe(matchesNaively(pattern, value));
      }),
      { numRuns: 3000 },
    );
  });

  it.each([
    ['file:///srv/*', 'file:///srv/a', true],
    ['file:///srv/*', 'file:///srv/a/b', false],
    ['file:///srv/**', 'file:///srv/a/b', true],
    ['file:///srv/**/x', 'file:///srv/a/b/x', true],
    ['file:///srv/?', 'file:////', false],
    ['file:///srv[/]a', 'file:///srv/a', false],
    ['file:///[!a]*', 'file:////etc', false],
    ['*', 'a/b', false],
    ['**', 'a/b\nc', true],
    ['http://h/a.b', 'http://h/aXb', false],
    ['http://h/(a)+$', 'http://h/(a)+$', true],
  ])('URI glob %j on %j is %s', (pattern, value, expected) => {
    expect(compilePattern(pattern, 'uri')(value)).toBe(expected);
  });

  it.each([
    ['re:read_.*', 'read_file', true],
    ['re:read', 'read_file', false],
    ['re:read', 'unread', false],
    ['re:^read$', 'read', true],
    ['re:(?i)read_.*', 'READ_File', true],
    ['re:read_.*', 'READ_file', false],
    ['re:a|b', 'ab', false],
    ['re:a|ab', 'ab', true],
    ['re:[[:alpha:]]+', 'abc', true],
    ['re:x:y', 'x:y', true],
    ['re:.', '\n', false],
    ['re:\\p{Greek}+', 'λόγος', true],
  ])('regular expression %j on the whole of %j is %s', (pattern, value, expected) => {
    expect(compilePattern(pattern, 'name')(value)).toBe(expected);
  });

  it.each([
    ['an empty pattern', ''],
    ['an empty expression', 're:'],
    ['an open class', 'a[b'],
    ['an open group', 're:(a'],
    ['a lookahead, which no linear engine has', 're:(?=a)b'],
    ['a back-reference', 're:(a)\\1'],
    ['a repetition that multiplies', 're:((a{100}){100}){100}'],
    ['a program that is too large', `re:${'(a{500}|b{500})'.repeat(10)}`],
    ['a pattern that is too long', 'a'.repeat(1025)],
    ['a lone surrogate', 'a\ud800'],
  ])('refuses %s', (_, pattern) => {
    expect(() => compilePattern(pattern, 'name')).toThrow(PatternError);
    expect(() => compilePattern(pattern, 'uri')).toThrow(PatternError);
  });

  it('cannot be stalled by an expression or glob that backtracking engines choke on', () => {
    const value = 'a'.repeat(8000);
    const start = performance.now();
    for (const pattern of ['re:(a+)+b', 're:(a|a)*b', 're:(a|aa)+b', 're:([a-z]+)*[0-9]', 're:(.*)(.*)(.*)(.*)(.*)x']) {
      expect(compilePattern(pattern, 'name')(value)).toBe(false);
    }
    expect(compilePattern(`${'**a*a'.repeat(20)}b`, 'uri')(value.slice(0, 2000))).toBe(false);
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

describe('exactValueOf', () => {
  it('tells exact patterns from others', () => {
    expect(exactValueOf('read\\*')).toBe('read*');
    expect([exactValueOf('read*'), exactValueOf('re:read')]).toEqual([null, null]);
  });
});

describe('matchesEveryName', () => {
  it('knows plain stars only: anything cleverer is tried name by name', () => {
    expect(['*', '**', '***'].map(matchesEveryName)).toEqual([true, true, true]);
    expect(['?*', '*a', 're:.*', '\\*', '[*]'].map(matchesEveryName)).toEqual([false, false, false, false, false]);
  });
});
