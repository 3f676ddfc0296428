import { describe, expect, it } from 'vitest';
import { acceptsOf, isJsonContentType, namesBothTypes } from '../../src/mcp/content.ts';
import { growthOf, LINEAR_GROWTH } from './json-texts.ts';

describe('isJsonContentType', () => {
  it.each([
    'application/json',
    'Application/JSON',
    'application/json; charset=utf-8',
    'application/json;charset=UTF-8',
    'application/json ; charset="utf-8"',
    'application/json;',
    'application/json; version=1; profile="a;b"',
  ])('takes %s', (value) => {
    expect(isJsonContentType(value)).toBe(true);
  });

  it.each([
    '',
    'text/plain',
    'application/jsonp',
    'application/json-seq',
    'application/ld+json',
    'text/json',
    'application/json, text/plain',
    'text/plain; application/json',
    'application/json; charset=utf-16',
    'application/json; charset=utf-7; charset=utf-8',
    'application/json; charset',
    'application/json; "x"',
    'application/json; charset="utf-8',
    'application /json',
    'applicat\u0130on/json',
    '\u00a0application/json',
  ])('refuses %j', (value) => {
    expect(isJsonContentType(value)).toBe(false);
  });
});

describe('acceptsOf', () => {
  it.each([
    ['', true, true],
    ['application/json, text/event-stream', true, true],
    ['text/event-stream,application/json', true, true],
    ['*/*', true, true],
    ['application/*', true, false],
    ['text/*', false, true],
    ['application/json', true, false],
    ['TEXT/EVENT-STREAM', false, true],
    ['application/json;q=0, */*', false, true],
    ['*/*;q=0', false, false],
    ['*/*;q=0, application/json', true, false],
    ['application/*;q=0, application/json;q=0.1', true, false],
    ['application/json;q=0.000', false, false],
    ['application/json;q=2', false, false],
    ['application/json;q=', false, false],
    ['application/json; Q=0', false, false],
    ['application/json;charset=utf-8;q=0.5', true, false],
    ['text/html, image/png', false, false],
    ['text/html;x="a, application/json"', false, false],
    ['application/json;x="', false, false],
    ['application', false, false],
    [',, ,application/json', true, false],
  ])('reads %j as json %s, sse %s', (accept, json, sse) => {
    expect(acceptsOf(accept)).toEqual({ json, sse });
  });

  it('takes time in proportion to the header', () => {
    for (const make of [
      (n: number) => ' '.repeat(n) + 'x',
      (n: number) => ',;'.repeat(n),
      (n: number) => '"\\"'.repeat(n),
      (n: number) => `a${' \t'.repeat(n)}a`,
    ]) {
      const prepare = (size: number) => {
        const header = make(size);
        return () => void acceptsOf(header);
      };
      expect(growthOf(prepare, 2000)).toBeLessThan(LINEAR_GROWTH);
    }
  });
});

describe('namesBothTypes', () => {
  it.each([
    'application/json, text/event-stream',
    'Text/Event-Stream;q=0.1,APPLICATION/JSON',
    '*/*;q=0, application/json, text/event-stream',
  ])('takes %s', (accept) => {
    expect(namesBothTypes(accept)).toBe(true);
  });

  it.each([
    '',
    '*/*',
    'application/*, text/*',
    'application/json',
    'application/json, */*',
    'application/json;q=0, text/event-stream',
    'application/json, "text/event-stream',
  ])('refuses %j', (accept) => {
    expect(namesBothTypes(accept)).toBe(false);
  });
});
