import type { LookupAddress } from 'node:dns';
import { describe, expect, it } from 'vitest';
import { checkUrl, guardedLookup, SSRF_REFUSED } from '../../src/upstream/ssrf.ts';
import type { Resolve } from '../../src/upstream/ssrf.ts';

const OPEN = { arePrivateNetworksAllowed: true };
const CLOSED = { arePrivateNetworksAllowed: false };

const NEVER = [
  'http://169.254.169.254/latest/meta-data',
  'http://2852039166/',
  'http://0xa9fea9fe/',
  'http://0xA9.0xFE.0xA9.0xFE/',
  'http://0251.0376.0251.0376/',
  'http://169.254.43518/',
  'http://169.16689662/',
  'http://169.254.169.254./',
  'http://①⑥⑨.254.169.254/',
  'http://[::ffff:169.254.169.254]/',
  'http://[::ffff:a9fe:a9fe]/',
  'http://[0:0:0:0:0:ffff:a9fe:a9fe]/',
  'http://[::169.254.169.254]/',
  'http://[::ffff:0:169.254.169.254]/',
  'http://[64:ff9b::169.254.169.254]/',
  'http://[64:ff9b:1::a9fe:a9fe]/',
  'http://[2002:a9fe:a9fe::]/',
  'http://[2002:a9fe:a9fe::1]/',
  'http://[2001:0:4136:e378:8000:63bf:5601:5601]/',
  'http://[2a00::5efe:169.254.169.254]/',
  'http://[fd00:ec2::254]/',
  'http://[FD00:EC2:0:0:0:0:0:254]/',
  'http://[fd20:ce::254]/',
  'http://100.100.100.200/',
  'http://192.0.0.192/',
  'http://168.63.129.16/',
  'http://169.254.170.2/v2/credentials',
  'http://[fe80::1]/',
  'http://[febf::1]/',
  'http://metadata/',
  'http://METADATA.google.internal/',
  'http://metadata.google.internal./computeMetadata/v1/',
  'http://metadata.google.internal../',
  'http://x.metadata.google.internal/',
  'http://metadata.goog/',
  'http://instance-data/',
  'http://Instance-Data.ec2.internal/',
  'http://224.0.0.1/',
  'http://255.255.255.255/',
  'http://240.0.0.1/',
  'http://[ff02::1]/',
  'http://[100::1]/',
  'http://[2001:db8::1]/',
  'http://[4000::1]/',
  'http://[::ffff:255.255.255.255]/',
  'ftp://example.com/',
  'file:///etc/passwd',
  'gopher://example.com/',
  'javascript:alert(1)',
  'unix:/run/docker.sock',
  'http://user:secret@example.com/',
  'http://example.com/#x',
  'example.com',
  '',
];

const WITH_SWITCH = [
  'http://127.0.0.1:3001/mcp',
  'http://127.1/',
  'http://2130706433/',
  'http://0x7f000001/',
  'http://0177.0.0.1/',
  'http://localhost:8080/',
  'http://LOCALHOST./',
  'http://api.localhost/',
  'http://0.0.0.0/',
  'http://0/',
  'http://[::]/',
  'http://[::1]/',
  'http://[::ffff:127.0.0.1]/',
  'http://[::ffff:7f00:1]/',
  'http://[64:ff9b::10.0.0.1]/',
  'http://10.0.0.1/',
  'http://172.16.0.1/',
  'http://172.31.255.255/',
  'http://192.168.1.1/',
  'http://100.64.0.1/',
  'http://198.18.0.1/',
  'http://[fc00::1]/',
  'http://[fd12:3456::1]/',
];

const ALWAYS = [
  'https://example.com/mcp',
  'http://93.184.216.34/',
  'http://172.15.0.1/',
  'http://172.32.0.1/',
  'http://100.63.255.255/',
  'http://100.128.0.1/',
  'http://[2606:4700::1111]/',
  'http://[64:ff9b::8.8.8.8]/',
  'https://metadata.example.com/',
  'https://xn--bcher-kva.example/',
];

describe('checkUrl', () => {
  it.each(NEVER)('refuses %s whatever is switched on', (url) => {
    expect(checkUrl(url, OPEN)).toEqual(expect.any(String));
    expect(checkUrl(url, CLOSED)).not.toContain('set allow_private_networks');
  });

  it.each(WITH_SWITCH)('permits %s with the switch, and names the switch without', (url) => {
    expect(checkUrl(url, OPEN)).toBeNull();
    expect(checkUrl(url, CLOSED)).toContain('allow_private_networks');
  });

  it.each(ALWAYS)('permits %s', (url) => {
    expect(checkUrl(url, CLOSED)).toBeNull();
  });

  it('does not repeat credentials', () => {
    expect(checkUrl('http://user:hunter2@example.com/', OPEN)).not.toMatch(/user:|hunter2/);
  });
});

function resolvingTo(...answers: readonly string[][]): { resolve: Resolve; asked: () => number } {
  let asked = 0;
  const resolve: Resolve = (_hostname, _options, callback) => {
    const answer = answers[Math.min(asked, answers.length - 1)] ?? [];
    asked += 1;
    const addresses: LookupAddress[] = answer.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    queueMicrotask(() => callback(null, addresses));
  };
  return { resolve, asked: () => asked };
}

function lookUp(
  resolve: Resolve,
  hostname: string,
  all: boolean,
  options = CLOSED,
): Promise<{ code: string | undefined; message: string; found: unknown }> {
  return new Promise((done) => {
    guardedLookup(options, resolve)(hostname, { all }, (error, found) => done({ code: error?.code, message: error?.message ?? '', found }));
  });
}

describe('guardedLookup', () => {
  it('hands on exactly the addresses that it checked', async () => {
    const { resolve } = resolvingTo(['93.184.216.34', '2606:4700::1']);
    expect((await lookUp(resolve, 'example.com', true)).found).toEqual([
      { address: '93.184.216.34', family: 4 },
      { address: '2606:4700::1', family: 6 },
    ]);
    expect((await lookUp(resolve, 'example.com', false)).found).toBe('93.184.216.34');
  });

  it('refuses a name when one of its addresses is refused', async () => {
    for (const bad of ['127.0.0.1', '10.1.2.3', '169.254.169.254', '::1', '::ffff:10.0.0.1', 'fd00:ec2::254']) {
      const { resolve } = resolvingTo(['93.184.216.34', bad]);
      expect((await lookUp(resolve, 'example.com', true)).code).toBe(SSRF_REFUSED);
    }
  });

  it('checks again each time, so that a rebinding name gains nothing and a real change is followed', async () => {
    const { resolve, asked } = resolvingTo(['93.184.216.34'], ['127.0.0.1'], ['93.184.216.35']);
    expect((await lookUp(resolve, 'example.com', false)).found).toBe('93.184.216.34');
    expect((await lookUp(resolve, 'example.com', false)).code).toBe(SSRF_REFUSED);
    expect((await lookUp(resolve, 'example.com', false)).found).toBe('93.184.216.35');
    expect(asked()).toBe(3);
  });

  it('does not even resolve the names of metadata services', async () => {
    const { resolve, asked } = resolvingTo(['93.184.216.34']);
    expect((await lookUp(resolve, 'metadata.google.internal', true, OPEN)).code).toBe(SSRF_REFUSED);
    expect(asked()).toBe(0);
  });

  it('refuses a name without addresses', async () => {
    expect((await lookUp(resolvingTo([]).resolve, 'example.com', true)).code).toBe(SSRF_REFUSED);
  });

  it('permits private addresses with the switch, metadata addresses never', async () => {
    expect((await lookUp(resolvingTo(['10.0.0.1']).resolve, 'db.example', false, OPEN)).found).toBe('10.0.0.1');
    expect((await lookUp(resolvingTo(['169.254.169.254']).resolve, 'db.example', false, OPEN)).code).toBe(SSRF_REFUSED);
  });
});
