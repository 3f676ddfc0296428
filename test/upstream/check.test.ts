import { describe, expect, it } from 'vitest';
import type { ConfigSnapshot, UpstreamSettings } from '../../src/core/config.ts';
import { checkHeaders, checkUpstreams } from '../../src/upstream/check.ts';
import { httpSettings, stdioSettings } from './support.ts';

/** The two fields that the check reads. */
function snapshot(upstreams: readonly UpstreamSettings[], isSingleUpstream = false): ConfigSnapshot {
  return { upstreams, isSingleUpstream } as unknown as ConfigSnapshot;
}

describe('checkUpstreams', () => {
  it('finds all faults together, each with its place', () => {
    const problems = checkUpstreams(
      snapshot([
        httpSettings('http://127.0.0.1/', {}, { arePrivateNetworksAllowed: false, headers: { Host: 'evil' } }),
        stdioSettings({ command: 'env', args: ['bash'] }),
        httpSettings('https://example.com/mcp', {}, { headers: { Authorization: 'Bearer x' } }),
        stdioSettings(),
      ]),
    );
    expect(problems.map(({ path }) => path)).toEqual([
      'upstream.servers[0].url',
      'upstream.servers[0].headers',
      'upstream.servers[1].command',
    ]);
    expect(problems[0]?.message).toContain('allow_private_networks');
    expect(problems.every(({ severity }) => severity === 'error')).toBe(true);
  });

  it('speaks of `upstream` in the single form', () => {
    expect(checkUpstreams(snapshot([stdioSettings({ command: 'sh' })], true)).map(({ path }) => path)).toEqual(['upstream.command']);
  });
});

describe('checkHeaders', () => {
  it.each([
    'Host',
    'content-length',
    'Transfer-Encoding',
    'connection',
    'Upgrade',
    'Accept',
    'Mcp-Session-Id',
    'MCP-Protocol-Version',
    'mcp-method',
    'Sec-WebSocket-Key',
  ])('refuses %s', (name) => {
    expect(checkHeaders({ [name]: 'x' })).toContain(name.toLowerCase());
  });

  it('refuses what splits or breaks a request, without repeating the value', () => {
    for (const value of ['secret\r\nX: y', 'secret\n', 'secret\0', 'secret\u007f', 'secret ✓']) {
      expect(checkHeaders({ 'X-A': value })).toMatch(/^(?!.*secret).*x-a/);
    }
    for (const name of ['', 'X A', 'X:A', 'X\r\nA', 'Ü']) expect(checkHeaders({ [name]: 'x' })).not.toBeNull();
    expect(checkHeaders({ 'X-A': '1', 'x-a': '2' })).not.toBeNull();
  });

  it('permits credentials and custom headers', () => {
    expect(checkHeaders({ Authorization: 'Bearer x', 'X-Api-Key': 'y', Cookie: 'a=b', 'User-Agent': 'me' })).toBeNull();
  });
});
