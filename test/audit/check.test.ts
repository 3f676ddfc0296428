import { describe, expect, it } from 'vitest';
import { checkRedaction } from '../../src/audit/check.ts';
import type { ConfigSnapshot, RedactionRule } from '../../src/core/config.ts';

function check(...redactionRules: RedactionRule[]): ReturnType<typeof checkRedaction> {
  return checkRedaction({ audit: { redactionRules } } as unknown as ConfigSnapshot);
}

describe('checkRedaction', () => {
  it('accepts rules in RE2 syntax', () => {
    expect(check({ name: 'mail', pattern: '(?i)[a-z.]+@[a-z.]+', replacement: '*' })).toEqual([]);
  });

  it('row 203: names the path and the rule of every bad pattern', () => {
    const problems = check(
      { name: 'fine', pattern: 'a', replacement: '' },
      { name: 'open', pattern: '(a', replacement: '' },
      { name: 'back', pattern: '(a)\\1', replacement: '' },
    );
    expect(problems.map((problem) => problem.path)).toEqual(['audit.redaction_rules[1].pattern', 'audit.redaction_rules[2].pattern']);
    expect(problems.map((problem) => problem.message.slice(0, 17))).toEqual(['pattern of "open"', 'pattern of "back"']);
    expect(problems.every((problem) => problem.severity === 'error')).toBe(true);
  });

  it('refuses a pattern that matches the empty text', () => {
    expect(check({ name: 'all', pattern: 'a*', replacement: 'x' })[0]?.message).toContain('empty text');
  });
});
