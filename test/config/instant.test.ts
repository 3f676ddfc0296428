import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseInstant } from '../../src/config/instant.ts';

describe('parseInstant', () => {
  it('reads every time that JavaScript writes', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('0100-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }),
        (date) => {
          expect(parseInstant(date.toISOString())).toBe(date.getTime());
        },
      ),
    );
  });

  it.each([
    ['2030-01-31', '2030-01-31T00:00:00Z'],
    ['2030-01-31t12:00:00z', '2030-01-31T12:00:00Z'],
    ['2030-01-31 12:00:00+02:00', '2030-01-31T10:00:00Z'],
    ['2030-01-31T12:00:00.123456789-00:30', '2030-01-31T12:30:00.123Z'],
    ['2028-02-29', '2028-02-29T00:00:00Z'],
  ])('reads %s', (text, iso) => {
    expect(parseInstant(text)).toBe(Date.parse(iso));
  });

  it.each([
    '',
    '2030',
    '2030-1-1',
    '2030-02-29',
    '2030-13-01',
    '2030-00-10',
    '2030-01-32',
    '2030-01-01T24:00:00Z',
    '2030-01-01T12:00:00',
    '2030-01-01T12:60:00Z',
    '2030-01-01T12:00Z',
    '30d',
    'never',
    '2030-01-01T12:00:00+25:00',
    ' 2030-01-01',
    '1700000000',
  ])('refuses %j', (text) => {
    expect(parseInstant(text)).toBeNull();
  });
});
