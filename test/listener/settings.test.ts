import { describe, expect, it } from 'vitest';
import type { ServerSettings } from '../../src/core/config.ts';
import { isLoopbackHost, listenerSettings } from '../../src/listener/settings.ts';

function server(overrides: Partial<ServerSettings> = {}): ServerSettings {
  return {
    host: '127.0.0.1',
    port: 3000,
    engine: 'uws',
    profile: 'default',
    workers: 2,
    maxRequestBytes: 1_048_576,
    allowedHosts: null,
    allowedOrigins: null,
    cors: { isEnabled: false, allowedOrigins: ['https://cors.example'], allowedMethods: [], allowedHeaders: [], maxAgeSecs: 0 },
    tls: null,
    trustedProxies: [],
    drainTimeoutMs: 0,
    drainDelayMs: 0,
    idleTimeoutMs: 60_000,
    maxConnections: 10_000,
    maxConnectionsPerIp: 0,
    maxJsonDepth: 64,
    maxJsonKeys: 10_000,
    isAcceptStrict: false,
    chunkedBodies: 'close',
    admin: { listen: null, tokenHashes: [] },
    ...overrides,
  } as ServerSettings;
}

describe('the listener settings', () => {
  it('answer to loopback names and pages when bound to loopback', () => {
    const settings = listenerSettings(server(), 'main');
    expect(settings.allowedHosts).toEqual(expect.arrayContaining(['localhost', '127.0.0.1', '[::1]']));
    expect(settings.areLoopbackOriginsAllowed).toBe(true);
    expect(settings.allowedOrigins).toEqual([]);
  });

  it('check no Host, and let no page in, when bound elsewhere without lists', () => {
    const settings = listenerSettings(server({ host: '0.0.0.0' }), 'main');
    expect(settings.allowedHosts).toBeNull();
    expect(settings.areLoopbackOriginsAllowed).toBe(false);
  });

  it('take the configured lists instead, and the origins of CORS with them when it is on', () => {
    const cors = { ...server().cors, isEnabled: true };
    const settings = listenerSettings(server({ allowedHosts: ['MCP.example'], allowedOrigins: ['https://App.example'], cors }), 'main');
    expect(settings.allowedHosts).toEqual(['mcp.example']);
    expect(settings.allowedOrigins).toEqual(['https://app.example', 'https://cors.example']);
    expect(settings.areLoopbackOriginsAllowed).toBe(false);
  });

  it('serve TLS with the node engine, whatever is configured', () => {
    const tls = { certPath: '/c', keyPath: '/k', minVersion: 'TLSv1.2' } as const;
    expect(listenerSettings(server({ tls }), 'main').engine).toBe('node');
    expect(listenerSettings(server(), 'main').engine).toBe('uws');
  });

  it('take the smaller limits of the hardened profile', () => {
    const settings = listenerSettings(server({ profile: 'hardened' }), 'main');
    expect([settings.maxHeadBytes, settings.maxHeaderLines, settings.maxBufferedBytes]).toEqual([8192, 64, 262_144]);
  });

  it('bind the address of the admin listener, and fail where there is none', () => {
    const admin = { listen: { host: '[::1]', port: 9000 }, tokenHashes: [] };
    expect(listenerSettings(server({ admin }), 'admin')).toMatchObject({ entrance: 'admin', host: '::1', port: 9000 });
    expect(() => listenerSettings(server(), 'admin')).toThrow('admin');
  });

  it('own the port in one process and share it between workers, unless told otherwise', () => {
    expect(listenerSettings(server({ workers: 0 }), 'main').isPortExclusive).toBe(true);
    expect(listenerSettings(server(), 'main').isPortExclusive).toBe(false);
    expect(listenerSettings(server(), 'main', { port: 4242, isPortExclusive: true })).toMatchObject({ port: 4242, isPortExclusive: true });
  });

  it('know loopback hosts', () => {
    for (const host of ['localhost', '127.0.0.1', '127.9.9.9', '::1', '[::1]']) expect(isLoopbackHost(host)).toBe(true);
    for (const host of ['0.0.0.0', '::', '128.0.0.1', '127.evil.example', 'localhost.example']) expect(isLoopbackHost(host)).toBe(false);
  });
});
