import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { UpstreamSettings } from '../../src/core/config.ts';
import { probeUpstream } from '../../src/upstream/probe.ts';
import { McpHttpServer } from './http-server.ts';
import { deps, FIXTURE, httpSettings, isAlive, stdioSettings } from './support.ts';

const servers: McpHttpServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

const folder = mkdtempSync(join(tmpdir(), 'upstream-probe-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A child that writes its process id into a file. */
function tellingItsPid(options: object): { readonly settings: UpstreamSettings; pid(): number } {
  const pidFile = join(folder, `${Math.random()}.pid`);
  const settings = stdioSettings({ args: [FIXTURE, JSON.stringify({ ...options, pidFile })] });
  return { settings, pid: () => Number(readFileSync(pidFile, 'utf8')) };
}

const FOUND = { ok: true, name: 'fixture', version: '1.2.3' };

describe('probeUpstream', () => {
  it('shakes hands with a child and leaves nothing running', async () => {
    const { settings, pid } = tellingItsPid({});
    expect(await probeUpstream(settings, deps(), 10_000)).toEqual({ ...FOUND, protocolVersion: '2025-11-25' });
    expect(isAlive(pid())).toBe(false);
  });

  it('shakes hands over HTTP and ends its session', async () => {
    const server = await new McpHttpServer({ sessions: true }).listen();
    servers.push(server);
    expect(await probeUpstream(httpSettings(server.url), deps(), 10_000)).toEqual({ ...FOUND, protocolVersion: '2025-06-18' });
    expect(server.seen.at(-1)?.method).toBe('DELETE');
  });

  it('says what is wrong', async () => {
    const reasons = await Promise.all([
      probeUpstream(stdioSettings({ command: 'no-such-program' }), deps(), 10_000),
      probeUpstream(stdioSettings({ command: 'bash' }), deps(), 10_000),
      probeUpstream(stdioSettings({ args: [FIXTURE, '{"exitCode":4}'] }), deps(), 10_000),
      probeUpstream(httpSettings('http://127.0.0.1:1/mcp'), deps(), 10_000),
      probeUpstream(httpSettings('http://127.0.0.1:1/mcp', {}, { arePrivateNetworksAllowed: false }), deps(), 10_000),
    ]);
    const expected = ['no-such-program', 'allow_shell', 'code 4', 'ECONNREFUSED', 'allow_private_networks'];
    expect(reasons).toEqual(expected.map((reason) => ({ ok: false, reason: expect.stringContaining(reason) })));
  });

  it('gives a hanging server up within the timeout and a second, and leaves nothing running', async () => {
    const { settings, pid } = tellingItsPid({ silent: true, stubborn: true });
    const startMs = performance.now();
    expect(await probeUpstream(settings, deps(), 700)).toEqual({ ok: false, reason: 'no answer within 0.7 s' });
    // The promise is 1,700 ms; a busy machine gets twice that.
    expect(performance.now() - startMs).toBeLessThan(3400);
    expect(isAlive(pid())).toBe(false);
  });
});
