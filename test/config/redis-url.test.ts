import { describe, expect, it } from 'vitest';
import { checkRedisUrl, parseRedisUrl } from '../../src/config/redis-url.ts';

const PLAIN = {
  mode: 'single',
  nodes: [{ host: 'db', port: 6379 }],
  sentinelName: null,
  username: null,
  password: null,
  database: 0,
  isEncrypted: false,
};
const TWO = [
  { host: 'a', port: 1 },
  { host: 'b', port: 2 },
];

describe('the address of a store', () => {
  it.each([
    ['redis://db', PLAIN],
    ['redis://db/', PLAIN],
    ['db', PLAIN],
    ['db:7000', { ...PLAIN, nodes: [{ host: 'db', port: 7000 }] }],
    ['rediss://db', { ...PLAIN, isEncrypted: true }],
    ['redis://[::1]:6380/15', { ...PLAIN, nodes: [{ host: '::1', port: 6380 }], database: 15 }],
    ['redis://ann:p%40ss%2Fw%3Ard@db', { ...PLAIN, username: 'ann', password: 'p@ss/w:rd' }],
    ['redis://:only@db', { ...PLAIN, password: 'only' }],
    ['redis://:a:b@db', { ...PLAIN, password: 'a:b' }],
    ['a:1,b:2', { ...PLAIN, mode: 'cluster', nodes: TWO }],
    ['redis://a:1,b:2', { ...PLAIN, mode: 'cluster', nodes: TWO }],
    ['rediss+cluster://:x@a:1,b:2', { ...PLAIN, mode: 'cluster', nodes: TWO, password: 'x', isEncrypted: true }],
    ['redis+cluster://db', { ...PLAIN, mode: 'cluster' }],
    ['redis+sentinel://db/main', { ...PLAIN, mode: 'sentinel', nodes: [{ host: 'db', port: 26_379 }], sentinelName: 'main' }],
    ['redis+sentinel://:x@a:1,b:2/main/3', { ...PLAIN, mode: 'sentinel', nodes: TWO, sentinelName: 'main', password: 'x', database: 3 }],
  ])('%s', (text, expected) => {
    expect(parseRedisUrl(text)).toEqual(expected);
    expect(checkRedisUrl(text)).toBeNull();
  });

  it.each([
    ['', /redis:\/\/host:port/],
    ['http://db', /redis:\/\/host:port/],
    ['unix:///run/redis.sock', /redis:\/\/host:port/],
    ['redis://', /redis:\/\/host:port/],
    ['redis://s3cret@x@db', /redis:\/\/host:port/],
    ['redis://:s3cret?x@db', /%3F/],
    ['redis://:s3cret x@db', /%20/],
    ['redis://:s3cret%zz@db', /percent-encoded/],
    ['redis://db:0', /host:port/],
    ['redis://db:65536', /host:port/],
    ['redis://db:x', /host:port/],
    ['redis://-db', /host:port/],
    ['redis://a:1,,b:2', /host:port/],
    ['redis://db/x', /number of a database/],
    ['redis://db/1/2', /number of a database/],
    ['redis+cluster://a:1,b:2/1', /a Cluster has one/],
    ['redis+sentinel://a:1,b:2', /name the master/],
    ['redis+sentinel://a:1/ma ster', /%20/],
    [`redis+cluster://${'a,'.repeat(64)}a`, /at most 64/],
  ])('%s is refused, and not repeated', (text, reason) => {
    const fault = checkRedisUrl(text);
    expect(fault).toMatch(reason);
    expect(fault).not.toContain('s3cret');
  });
});
