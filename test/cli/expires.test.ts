import { describe, expect, it } from 'vitest';
import { resolveExpiry } from '../../src/cli/expires.ts';

const NOW = Date.parse('2026-01-31T10:20:30.456Z');

describe('resolveExpiry', () => {
  it('adds days and hours to now, to the second', () => {
    expect(resolveExpiry('30d', NOW)).toBe('2026-03-02T10:20:30Z');
    expect(resolveExpiry('12h', NOW)).toBe('2026-01-31T22:20:30Z');
  });

  it.each(['2030-01-01', '2030-01-01T00:00:00Z', '30', '0d', '-1d', '1.5d', '30 d', 'd', '9999999d', ''])(
    'leaves %j to the configuration',
    (text) => {
      expect(resolveExpiry(text, NOW)).toBe(text);
    },
  );
});
