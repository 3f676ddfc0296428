import { describe, expect, it } from 'vitest';
import { agree, paramHeaders, paramHeadersOf } from '../../src/mcp/param-headers.ts';

function schema(properties: object, more: object = {}): object {
  return { type: 'object', properties, ...more };
}

const REGION = { type: 'string', 'x-mcp-header': 'Region' };
const LEVEL = { type: 'integer', 'x-mcp-header': 'Level' };

describe('paramHeadersOf', () => {
  it('finds annotations at any depth of properties', () => {
    const found = paramHeadersOf(schema({ region: REGION, deep: schema({ level: LEVEL }) }));
    expect(found).toEqual([
      { header: 'mcp-param-region', path: ['region'], isNumber: false },
      { header: 'mcp-param-level', path: ['deep', 'level'], isNumber: true },
    ]);
  });

  it.each([undefined, null, 'x', [], {}, schema({ a: { type: 'string' } }), schema({}, { default: { 'x-mcp-header': 1 } })])(
    'finds none in %j',
    (given) => {
      expect(paramHeadersOf(given)).toEqual([]);
    },
  );

  it.each([
    ['no string', schema({ a: { type: 'string', 'x-mcp-header': 1 } })],
    ['no token', schema({ a: { type: 'string', 'x-mcp-header': 'a b' } })],
    ['empty', schema({ a: { type: 'string', 'x-mcp-header': '' } })],
    ['on an object', schema({ a: { type: 'object', 'x-mcp-header': 'A' } })],
    ['on a number', schema({ a: { type: 'number', 'x-mcp-header': 'A' } })],
    ['on the whole', schema({}, { 'x-mcp-header': 'A' })],
    ['twice, in two cases', schema({ a: REGION, b: { ...REGION, 'x-mcp-header': 'REGION' } })],
    ['in the items of an array', schema({ a: { type: 'array', items: REGION } })],
    ['in a choice', schema({}, { anyOf: [schema({ a: REGION })] })],
  ])('refuses one that is %s', (_what, given) => {
    expect(paramHeadersOf(given)).toBeNull();
  });
});

describe('agree', () => {
  const declared = paramHeadersOf(schema({ region: REGION, level: LEVEL, on: { type: 'boolean', 'x-mcp-header': 'On' } })) ?? [];

  it('takes what the arguments say, plain or in Base64, numbers as numbers', () => {
    expect(
      agree(declared, { region: 'eu', level: 3, on: true }, ['mcp-param-region', 'eu', 'mcp-param-level', '3.0', 'mcp-param-on', 'true']),
    ).toBe(true);
    expect(agree(declared, { region: 'é' }, ['mcp-param-region', '=?base64?w6k=?='])).toBe(true);
  });

  it('asks for no header where there is no value', () => {
    expect(agree(declared, { region: null }, null)).toBe(true);
    expect(agree(declared, undefined, null)).toBe(true);
    expect(agree(declared, {}, ['mcp-param-region', 'anything'])).toBe(true);
  });

  it.each([
    [{ region: 'eu' }, null],
    [{ region: 'eu' }, ['mcp-param-region', 'EU']],
    [{ region: 'eu' }, ['mcp-param-region', '=?base64?e?=']],
    [{ region: 'eu' }, ['mcp-param-x', 'mcp-param-region']],
    [{ level: 3 }, ['mcp-param-level', '4']],
    [{ on: true }, ['mcp-param-on', 'TRUE']],
  ])('refuses %j with %j', (args, headers) => {
    expect(agree(declared, args, headers)).toBe(false);
  });

  it('takes the headers that it would make itself', () => {
    for (const region of ['eu', 'é', ' x ', '', '=?base64?e?=', 'a\nb']) {
      const args = { region, level: -7, on: false };
      expect(agree(declared, args, paramHeaders(declared, args))).toBe(true);
    }
  });
});
