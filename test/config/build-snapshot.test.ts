import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/config/build-snapshot.ts';
import { BASE, snapshotOf } from './support.ts';

describe('buildSnapshot', () => {
  it('has the documented defaults', () => {
    const { server, rateLimit, audit, logging, auth, policy } = snapshotOf(BASE, { baseDir: '/' });
    expect(server).toMatchObject({
      host: '127.0.0.1',
      port: 3000,
      engine: 'uws',
      profile: 'default',
      maxRequestBytes: 1_048_576,
      allowedHosts: null,
      allowedOrigins: null,
      tls: null,
      trustedProxies: [],
      drainTimeoutMs: 10_000,
      drainDelayMs: 0,
      idleTimeoutMs: 60_000,
      maxConnections: 10_000,
      maxConnectionsPerIp: 0,
      maxJsonDepth: 64,
      maxJsonKeys: 10_000,
      isAcceptStrict: false,
      chunkedBodies: 'close',
      admin: { listen: null, tokenHashes: [] },
    });
    expect(rateLimit).toEqual({
      isEnabled: true,
      default: { perSecond: 25, burst: 10, failMode: 'local' },
      isDeniedCounted: true,
      maxInFlight: 64,
      address: null,
      tools: [],
      perToolDefault: null,
      methods: [],
      maxIdentities: 131_072,
      idleTtlMs: 60_000,
    });
    expect(audit).toMatchObject({ isEnabled: true, isStdout: false, file: '/mcp-guard-audit.jsonl', redactionRules: [] });
    expect(logging).toEqual({ level: 'info', format: 'auto' });
    expect(auth).toMatchObject({ isAnonymousAllowed: false, defaultTools: 'all', isXApiKeyAccepted: false, resourceMetadata: null });
    expect(policy).toEqual({ tools: { allow: null, deny: [] } });
  });

  it('is frozen to the bottom and survives structured clone', () => {
    const snapshot = snapshotOf(BASE);
    expect(structuredClone(snapshot)).toEqual(snapshot);
    const isFrozen = (value: unknown): boolean =>
      typeof value !== 'object' || value === null || (Object.isFrozen(value) && Object.values(value).every(isFrozen));
    expect(isFrozen(snapshot)).toBe(true);
  });

  it('has a version that follows the content, not the way it was written', () => {
    const { version } = snapshotOf(BASE);
    expect(version).toMatch(/^[0-9a-f]{16}$/);
    expect(snapshotOf(`# comment\n[server]\nport = 3000\n${BASE}`, { source: 'elsewhere' }).version).toBe(version);
    expect(snapshotOf(BASE, { env: { MCP_GUARD_SERVER_PORT: '3000' } }).version).toBe(version);
    expect(snapshotOf(BASE, { env: { MCP_GUARD_SERVER_PORT: '3001' } }).version).not.toBe(version);
    expect(snapshotOf(BASE.replace('["*"]', '["a"]')).version).not.toBe(version);
  });
});

describe('canonicalJson', () => {
  it('writes equal data equally, whatever the order of keys, and reads back as the same data', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value);
        expect(canonicalJson(JSON.parse(text))).toBe(text);
        expect(text).toBe(canonicalJson(reversed(value)));
      }),
    );
  });
});

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([name, member]) => [name, reversed(member)]),
  );
}
