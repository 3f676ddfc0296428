import { describe, expect, it } from 'vitest';
import { isRelayedNotification, methodLabel, neededCapability, RELAYED_CAPABILITIES, roleOf } from '../../src/mcp/methods.ts';

const RELAYED: readonly (readonly [string, string])[] = [
  ['tools/list', 'tools'],
  ['tools/call', 'tools'],
  ['resources/list', 'resources'],
  ['resources/read', 'resources'],
  ['resources/templates/list', 'resources'],
  ['prompts/list', 'prompts'],
  ['prompts/get', 'prompts'],
  ['completion/complete', 'completions'],
];

describe('roleOf', () => {
  it.each(RELAYED)('relays %s, which needs the capability %s', (method, capability) => {
    expect(roleOf(method)).toBe('relayed');
    expect(neededCapability(method)).toBe(capability);
    expect(RELAYED_CAPABILITIES).toContain(capability);
  });

  it('leaves initialize and ping to the gateway', () => {
    expect([roleOf('initialize'), roleOf('ping')]).toEqual(['initialize', 'ping']);
    expect(neededCapability('ping')).toBe(null);
  });

  it.each([
    'logging/setLevel',
    'resources/subscribe',
    'sampling/createMessage',
    'tasks/get',
    'Tools/call',
    'tools/call ',
    '',
    'constructor',
    '__proto__',
    'notifications/initialized',
  ])('knows no relay for %j', (method) => {
    expect(roleOf(method)).toBe('unknown');
    expect(neededCapability(method)).toBe(null);
  });
});

describe('methodLabel', () => {
  it('keeps what the protocol defines, relayed or not', () => {
    for (const method of ['initialize', 'tools/call', 'logging/setLevel', 'notifications/cancelled', 'tasks/result']) {
      expect(methodLabel(method)).toBe(method);
    }
  });

  it('gives everything else one label', () => {
    for (const method of ['', 'tools/Call', 'x'.repeat(1000), 'notifications/own', '__proto__']) expect(methodLabel(method)).toBe('other');
  });
});

describe('isRelayedNotification', () => {
  it('keeps to the gateway what concerns its own handshake with the client', () => {
    for (const method of ['notifications/initialized', 'notifications/roots/list_changed', 'notifications/progress']) {
      expect(isRelayedNotification(method)).toBe(false);
    }
  });

  it('relays cancellations and what it does not know', () => {
    for (const method of ['notifications/cancelled', 'notifications/own']) expect(isRelayedNotification(method)).toBe(true);
  });
});
