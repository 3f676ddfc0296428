import { describe, expect, it } from 'vitest';
import { bannerLines, listenUrl } from '../../src/cli/banner.ts';
import { loadConfigText } from '../../src/config/load.ts';
import type { ConfigSnapshot } from '../../src/core/config.ts';

/** TLS is put in afterwards: certificates are checked where they are loaded. */
function snapshotOf(config: Readonly<Record<string, unknown>>, server: Partial<ConfigSnapshot['server']> = {}): ConfigSnapshot {
  const text = JSON.stringify({ upstream: { command: 'node', env: { TOKEN: 'hidden' }, args: ['--token=hidden'] }, ...config });
  const { snapshot, problems } = loadConfigText({ text, format: 'json', source: '/etc/mcp-guard.json', baseDir: '/etc', env: {} });
  if (snapshot === null) throw new Error(JSON.stringify(problems));
  return { ...snapshot, server: { ...snapshot.server, ...server } };
}

const TLS = { certPath: '/c', keyPath: '/k', minVersion: 'TLSv1.2' } as const;

describe('bannerLines', () => {
  it('shows https when TLS is on, and brackets around IPv6', () => {
    expect(listenUrl(snapshotOf({}), 3000)).toBe('http://127.0.0.1:3000');
    expect(listenUrl(snapshotOf({}, { tls: TLS, host: '::1' }), 8443)).toBe('https://[::1]:8443');
  });

  it('shows the bound ports, not the configured ones', () => {
    const banner = bannerLines(snapshotOf({ server: { port: 0, admin: { port: 0 } } }), 4001, 4002).join('\n');
    expect(banner).toMatch(/listen +http:\/\/127\.0\.0\.1:4001\/mcp/);
    expect(banner).toMatch(/admin +http:\/\/127\.0\.0\.1:4002$/m);
  });

  it('shows where other hosts reach this one, and no secret', () => {
    const secret = 'hidden, and as long as 256 bits need it to be';
    const server = { advertise_address: 'Gate-1.example:3001', peer_listen: '[::]:4001', peer_secret: secret };
    const banner = bannerLines(snapshotOf({ server, session: { seal_keys: [secret] } }), 1, 0).join('\n');
    expect(banner).toMatch(/^ {2}hosts +gate-1\.example:3001, listening on \[::\]:4001$/m);
    expect(banner).not.toContain('hidden');
    expect(bannerLines(snapshotOf({}), 1, 0).join('\n')).not.toMatch(/^ {2}hosts/m);
  });

  it('says when nobody can call, and when anybody can', () => {
    expect(bannerLines(snapshotOf({}), 1, 0).join('\n')).toMatch(/auth +no provider: every MCP request is refused/);
    expect(bannerLines(snapshotOf({ auth: { allow_anonymous: true } }), 1, 0).join('\n')).toMatch(/auth +anonymous callers allowed/);
  });

  it('names every path of an upstream and nothing of its command', () => {
    const servers = [
      { name: 'files', command: 'secret-program', args: ['--token=hidden'], path_prefix: '/fs/v2' },
      { name: 'rest', url: 'https://mcp.example.com/mcp?token=hidden', path_prefix: '/' },
    ];
    const banner = bannerLines(snapshotOf({ upstream: { servers } }), 1, 0).join('\n');
    expect(banner).toContain('files (stdio) at /mcp/files, /mcp/fs/v2');
    expect(banner).toContain('rest (http) at /mcp/rest, /mcp');
    expect(banner).not.toContain('hidden');
    expect(banner).not.toContain('secret-program');
    expect(banner).not.toContain('example.com');
  });

  it('shows limits and audit as they are, also when they are off', () => {
    const off = bannerLines(snapshotOf({ rate_limit: { enabled: false }, audit: { enabled: false }, server: { workers: 0 } }), 1, 0).join(
      '\n',
    );
    expect(off).toMatch(/limits +no rate limit, body 1 MiB/);
    expect(off).toMatch(/audit +off/);
    expect(off).toMatch(/workers +none, one process/);
    const on = bannerLines(snapshotOf({ audit: { stdout: true }, server: { workers: 3, max_request_size: 1000 } }), 1, 0).join('\n');
    expect(on).toMatch(/limits +25 requests\/s, burst 10 per principal, body 1000 bytes/);
    const more = { ip: { requests_per_second: 5 }, per_tool_default: { requests_per_second: 2 } };
    const tool_limits = [{ tool_pattern: 'write_*', cost: 2 }];
    const all = bannerLines(snapshotOf({ rate_limit: { ...more, tool_limits }, server: { max_request_size: 1000 } }), 1, 0).join('\n');
    expect(all).toMatch(
      /limits +25 requests\/s, burst 10 per principal, 5 requests\/s per address, tool patterns: 1, 2 calls\/s per tool, body/,
    );
    expect(on).toMatch(/audit +\/etc\/mcp-guard-audit\.jsonl, stdout/);
  });
});
