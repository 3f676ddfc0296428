import { afterEach, describe, expect, it } from 'vitest';
import type { Upstream } from '../../src/core/upstream.ts';
import { buildUpstream } from '../../src/upstream/build.ts';
import { type Behaviour, json, McpHttpServer, reply, stream } from './http-server.ts';
import { ask, begin, call, deps, httpSettings, ready, RecordedEvents, Sink, until } from './support.ts';

const MODERN = '2026-07-28';
const PREFIX = 'io.modelcontextprotocol/';
const DISCOVERED = { resultType: 'complete', supportedVersions: [MODERN], capabilities: { tools: {} }, ttlMs: 0, cacheScope: 'public' };
const HELLO = { revision: '2025-06-18', capabilities: '{}', clientInfo: '{"name":"c","version":"1"}' };

const opened: Upstream[] = [];
const servers: McpHttpServer[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((upstream) => upstream.close()));
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function serve(behaviour: Behaviour): Promise<McpHttpServer> {
  const server = await new McpHttpServer(behaviour).listen();
  servers.push(server);
  return server;
}

async function open(server: McpHttpServer): Promise<Upstream> {
  const upstream = buildUpstream(httpSettings(server.url), deps());
  opened.push(upstream);
  upstream.start();
  await ready(upstream);
  return upstream;
}

const modern: Behaviour = {
  handlers: {
    'server/discover': (response, { id }) => reply(response, id, DISCOVERED),
    'tools/call': (response, { id, params }) => reply(response, id, { resultType: 'complete', content: [], echo: params['name'] }),
  },
  initialize: (response, { id }) => {
    response.statusCode = 404;
    response.end(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } }));
  },
};

const methods = (server: McpHttpServer): unknown[] => server.seen.map(({ message }) => message.method);

describe('a server over HTTP is asked for its revisions first', () => {
  it('and one of the newest gets no handshake while nobody needs to know whether it takes one', async () => {
    const server = await serve(modern);
    const upstream = await open(server);
    const meta = { [`${PREFIX}protocolVersion`]: MODERN, [`${PREFIX}clientCapabilities`]: {} };
    const sink = new Sink();
    const flight = upstream.request(
      call('tools/call', { name: 'a', _meta: meta }),
      { restPath: '', principalKey: 'k', modern: { params: null } },
      sink,
    );
    expect('code' in flight).toBe(false);
    expect((await sink.outcome).reply?.result).toMatchObject({ echo: 'a' });
    expect(methods(server)).toEqual(['server/discover', 'tools/call']);
  });

  it('and its refusal of a handshake is believed: one for all clients of older revisions', async () => {
    const server = await serve(modern);
    const upstream = await open(server);
    const sinks = Array.from({ length: 8 }, () => new Sink());
    for (const sink of sinks) begin(upstream, call('tools/call', { name: 'b' }), sink);
    for (const { outcome } of sinks) expect((await outcome).reply?.result).toEqual({ content: [], echo: 'b' });
    // Longer than the back-off begins with.
    await new Promise((resolve) => setTimeout(resolve, 800));
    expect((await ask(upstream, call('tools/call', { name: 'c' }))).reply?.result).toEqual({ content: [], echo: 'c' });
    expect(server.calls('initialize')).toHaveLength(1);
    expect(upstream.state).toBe('ready');
  });

  it('and one of both kinds takes the handshake that the first client of an older revision needs', async () => {
    const server = await serve({ handlers: modern.handlers ?? {} });
    const upstream = await open(server);
    expect(methods(server)).toEqual(['server/discover']);
    const session = upstream.newSession(HELLO);
    const sink = new Sink();
    session?.request(call('initialize', { protocolVersion: '2025-06-18' }), { restPath: '', principalKey: 'k' }, sink);
    expect((await sink.outcome).isError).toBe(false);
    expect(session?.agreement?.info.name).toBe('fixture');
    expect((await ask(upstream, call('tools/call', { name: 'd' }))).reply?.result).toMatchObject({ echo: 'd' });
    expect(server.calls('tools/call')[0]?.headers['mcp-protocol-version']).toBe('2025-06-18');
  });

  it('and one of the older kind is sent its handshake as soon as it has said so, never before', async () => {
    const server = await serve({
      handlers: {
        'server/discover': (response, { id }) =>
          json(response, JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } })),
      },
    });
    const upstream = await open(server);
    expect(methods(server).slice(0, 2)).toEqual(['server/discover', 'initialize']);
    expect((await ask(upstream, call('tools/call', { name: 'd' }))).reply?.result).toMatchObject({ name: 'd' });
  });

  it('and one that refuses the revision which it says it supports is asked once more', async () => {
    let refusals = 1;
    const error = { code: -32022, message: 'Unsupported protocol version', data: { supported: [MODERN], requested: MODERN } };
    const server = await serve({
      ...modern,
      handlers: {
        'server/discover': (response, { id }) => {
          if (refusals-- <= 0) return reply(response, id, DISCOVERED);
          response.statusCode = 400;
          response.setHeader('content-type', 'application/json').end(JSON.stringify({ jsonrpc: '2.0', id, error }));
        },
      },
    });
    const upstream = await open(server);
    expect(upstream.modern).not.toBeNull();
    expect(methods(server)).toEqual(['server/discover', 'server/discover']);
  });

  it('and one that cannot be reached is neither kind: it is down, and asked again in the same order', async () => {
    const server = await serve(modern);
    await server.stop();
    const upstream = buildUpstream(httpSettings(server.url), deps());
    opened.push(upstream);
    upstream.start();
    await until(() => upstream.state === 'down', 'down');
    expect(upstream.detail).toContain('cannot be reached');
    const refused = await ask(upstream, call('tools/call', { name: 'e' }));
    expect(refused.refusal?.code).toBe('UPSTREAM_DOWN');
    await server.listen();
    await ready(upstream);
    expect(new Set(methods(server))).toEqual(new Set(['server/discover']));
  });
});

describe('lists of a server of the newest revision', () => {
  const DECLARED = { ...DISCOVERED, capabilities: { tools: { listChanged: true }, prompts: {} } };
  const telling: Behaviour = {
    ...modern,
    handlers: {
      'server/discover': (response, { id }) => reply(response, id, DECLARED),
      'subscriptions/listen': (response, { id, params }) => {
        const _meta = { [`${PREFIX}subscriptionId`]: id };
        const send = stream(response);
        send({ method: 'notifications/subscriptions/acknowledged', params: { notifications: params['notifications'], _meta } });
        send({ method: 'notifications/tools/list_changed', params: { _meta } });
      },
    },
  };

  it('are subscribed to where they are kept, and not where they are not', async () => {
    for (const listCacheMs of [60_000, 0]) {
      const server = await serve(telling);
      const events = new RecordedEvents();
      const upstream = buildUpstream(httpSettings(server.url, { listCacheMs }), deps(events));
      opened.push(upstream);
      upstream.start();
      await ready(upstream);
      if (listCacheMs > 0) await until(() => events.changedLists.includes('tools'), 'the change is heard');
      const asked = server.calls('subscriptions/listen').map(({ message }) => message.params?.['notifications']);
      expect(asked).toEqual(listCacheMs > 0 ? [{ toolsListChanged: true }] : []);
    }
  });

  it('are subscribed to again after the subscription broke, and taken for changed then', async () => {
    const server = await serve(telling);
    const events = new RecordedEvents();
    const upstream = buildUpstream(httpSettings(server.url, { listCacheMs: 60_000 }), deps(events));
    opened.push(upstream);
    upstream.start();
    await until(() => events.changedLists.length > 0, 'the first change is heard');
    const heard = events.changedLists.length;
    for (const socket of server.sockets) socket.destroy();
    await until(() => server.calls('subscriptions/listen').length === 2 && events.changedLists.length > heard, 'a second subscription');
    expect(new Set(events.changedLists)).toEqual(new Set(['tools']));
  });
});
