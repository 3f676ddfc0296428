import { describe, expect, it } from 'vitest';
import type { VirtualSettings } from '../../src/core/config.ts';
import { compileSelection } from '../../src/policy/selection.ts';

function selects(resources: readonly string[] | null, uri: string): boolean {
  const settings: VirtualSettings = {
    name: 'v',
    path: '/mcp/v',
    isAggregate: false,
    servers: ['a'],
    tools: null,
    prompts: null,
    resources,
    separator: '__',
    listTimeoutMs: 1000,
  };
  return compileSelection(settings).resource(uri);
}

const SHARED = ['file:///srv/shared/**'];

describe('resources that a pattern chooses', () => {
  it.each([
    'file:///srv/shared/a.txt',
    'file:///srv/shared/.hidden/a..b/...',
    'file:///srv/shared/{+path}',
    'file:///srv/shared/50%25.txt',
    'file:///srv/shared/a%20b',
  ])('have %s among them', (uri) => expect(selects(SHARED, uri)).toBe(true));

  it.each([
    'file:///srv/shared/../secret',
    'file:///srv/shared/a/./b',
    'file:///srv/shared/..',
    'file:///srv/shared/.. ',
    'file:///srv/shared/.\t./secret',
    'file:///srv/shared/..\\secret',
    'file:///srv/shared/%2e%2E/secret',
    'file:///srv/shared/.%2e/secret',
    'file:///srv/shared/%252e%25252e/secret',
    'file:///srv/shared/..%2fsecret',
    'file:///srv/shared/a%5C..%5csecret',
    'file:///srv/shared/..?x',
    'file:///srv/shared/..#x',
    'file:///srv/shared/..;x/secret',
  ])('have no address that may lead elsewhere: %s', (uri) => expect(selects(SHARED, uri)).toBe(false));

  it('take an address of any length in linear time', () => {
    expect(selects(SHARED, `file:///srv/shared/${'%25'.repeat(500_000)}2`)).toBe(true);
    expect(selects(SHARED, `file:///srv/shared/${'%25'.repeat(500_000)}2e/x`)).toBe(true);
  });

  it('are all of them where nothing was chosen', () => expect(selects(null, 'file:///a/../b')).toBe(true));
});
