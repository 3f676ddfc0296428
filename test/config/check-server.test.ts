import { describe, expect, it } from 'vitest';
import { BASE, errorsOf, load, OTHER_HASH, snapshotOf, warningsOf } from './support.ts';

const ANONYMOUS = '[auth]\nallow_anonymous = true\n[upstream]\ncommand = "x"\n';
const WITHOUT_AUTH = '[upstream]\ncommand = "x"\n';

describe('checkServer', () => {
  it.each(['0.0.0.0', '::', '10.1.2.3', 'gateway.example'])('refuses to listen on %s without authentication', (host) => {
    const text = `[server]\nhost = "${host}"\n`;
    expect(errorsOf(load(text + ANONYMOUS))).toEqual([
      expect.stringContaining('server.host is reachable from other machines: with auth.allow_anonymous'),
    ]);
    expect(errorsOf(load(text + WITHOUT_AUTH))).toEqual([
      expect.stringContaining('server.host is reachable from other machines and no authentication is configured'),
    ]);
    expect(errorsOf(load(text + BASE))).toEqual([]);
    expect(warningsOf(load(text + BASE))).toEqual([expect.stringContaining('without TLS')]);
  });

  it.each(['127.0.0.1', '127.1.2.3', '::1', '[::1]', 'localhost'])('lets %s be', (host) => {
    expect(load(`[server]\nhost = "${host}"\n${ANONYMOUS}`).problems).toEqual([]);
    expect(snapshotOf(`[server]\nhost = "${host}"\n${ANONYMOUS}`).server.host).toBe(host.replaceAll(/[[\]]/g, ''));
  });

  it('warns that an idle timeout does nothing under uws', () => {
    expect(warningsOf(load(`[server]\nidle_timeout_secs = 5\n${BASE}`))).toEqual([
      expect.stringContaining('server.idle_timeout_secs has no effect'),
    ]);
    expect(warningsOf(load(`[server]\nidle_timeout_secs = 5\nengine = "node"\n${BASE}`))).toEqual([]);
  });

  it('refuses a delay longer than the whole drain', () => {
    expect(errorsOf(load(`[server]\ndrain_delay_secs = 11\n${BASE}`))).toEqual([
      expect.stringContaining('server.drain_delay_secs is longer'),
    ]);
  });

  it('warns about CORS that lets nobody in', () => {
    expect(warningsOf(load(`[server.cors]\nenabled = true\n${BASE}`))).toEqual([
      expect.stringContaining('server.cors.allowed_origins is empty'),
    ]);
  });

  it('refuses an admin listener that other machines reach without a token', () => {
    const text = '[server.admin]\nhost = "0.0.0.0"\nport = 9090\n';
    expect(errorsOf(load(text + BASE))).toEqual([expect.stringContaining('server.admin.host is reachable from other machines')]);
    expect(errorsOf(load(`${text}tokens = ["${OTHER_HASH}"]\n${BASE}`))).toEqual([]);
    expect(snapshotOf(`[server.admin]\nport = 9090\n${BASE}`).server.admin).toEqual({
      listen: { host: '127.0.0.1', port: 9090 },
      tokenHashes: [],
    });
    expect(snapshotOf(`[server.admin]\ntokens = ["sha256:${Buffer.alloc(32, 2).toString('hex')}"]\n${BASE}`).server.admin).toEqual({
      listen: null,
      tokenHashes: [OTHER_HASH],
    });
  });

  it('refuses an admin listener without a port, or with that of the main one', () => {
    expect(errorsOf(load(`[server.admin]\nhost = "127.0.0.1"\n${BASE}`))).toEqual(['server.admin.host needs admin.port']);
    expect(errorsOf(load(`[server.admin]\nport = 3000\n${BASE}`))).toEqual(['server.admin.port is the same as server.port']);
    expect(errorsOf(load(`[server]\nport = 0\n[server.admin]\nport = 0\n${BASE}`))).toEqual([]);
  });
});
