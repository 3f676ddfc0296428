import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { HttpSettings } from '../../src/core/config.ts';
import type { Upstream } from '../../src/core/upstream.ts';
import { WebSocketUpstream } from '../../src/upstream/websocket.ts';
import { FakeClock } from './fake-clock.ts';
import { describeMessageUpstream } from './message-contract.ts';
import { call, deps, httpSettings, ready, RecordedEvents, resultOf, until } from './support.ts';
import { McpWebSocketServer, type WebSocketBehaviour } from './websocket-server.ts';

describeMessageUpstream('websocket', () => new McpWebSocketServer());

const upstreams: Upstream[] = [];
const peers: McpWebSocketServer[] = [];
const servers: Server[] = [];

afterEach(async () => {
  await Promise.all(upstreams.splice(0).map((upstream) => upstream.close()));
  await Promise.all(peers.splice(0).map((peer) => peer.stop()));
  for (const server of servers.splice(0)) server.close();
});

interface Opened {
  readonly upstream: Upstream;
  readonly events: RecordedEvents;
}

function open(url: string, http: Partial<HttpSettings> = {}, clock = systemClock): Opened {
  const events = new RecordedEvents();
  const settings = httpSettings(url, {}, http);
  const upstream = new WebSocketUpstream({ ...settings, transport: 'websocket' }, settings.http, deps(events, clock));
  upstreams.push(upstream);
  upstream.start();
  return { upstream, events };
}

async function peerOf(behaviour: WebSocketBehaviour): Promise<McpWebSocketServer> {
  const peer = await new McpWebSocketServer(behaviour).listen();
  peers.push(peer);
  return peer;
}

/** An HTTP server that is asked for a WebSocket; without a listener of upgrades they come as requests. */
async function httpServer(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

const isDown = (upstream: Upstream): Promise<void> => until(() => upstream.state === 'down', 'down');

describe('WebSocketUpstream', () => {
  it('drops binary frames and counts them', async () => {
    const peer = await peerOf({});
    const { upstream, events } = open(peer.url);
    await ready(upstream);
    const frame = Buffer.from('{"jsonrpc":"2.0","id":2,"result":{"forged":true}}');
    for (const socket of peer.connections) socket.send(frame, { binary: true });
    await until(() => events.count('not_json') === 1, 'it is counted');
    expect(await resultOf(upstream, call('echo', { real: true }))).toEqual({ real: true });
  });

  it('ends a connection that sends text which is not UTF-8', async () => {
    const peer = await peerOf({});
    const { upstream } = open(peer.url);
    await ready(upstream);
    for (const socket of peer.connections) socket.send(Buffer.from([0xff, 0xfe]), { binary: false });
    await isDown(upstream);
    expect(upstream.detail).toContain('WS_ERR_INVALID_UTF8');
    await ready(upstream);
  });

  it('does not follow a redirect', async () => {
    const peer = await peerOf({});
    const url = await httpServer((_request, response) => void response.writeHead(302, { location: peer.url }).end());
    const { upstream } = open(url);
    await isDown(upstream);
    expect(upstream.detail).toContain('redirect (HTTP 302)');
    expect(peer.openings).toEqual([]);
  });

  it('says what an ordinary HTTP server answered', async () => {
    const url = await httpServer((_request, response) => void response.writeHead(403).end());
    const { upstream } = open(url);
    await isDown(upstream);
    expect(upstream.detail).toContain('HTTP 403 instead of a WebSocket');
  });

  it('insists on the subprotocol, and offers no compression', async () => {
    const peer = await peerOf({ hasSubprotocol: false });
    const { upstream } = open(peer.url);
    await isDown(upstream);
    expect(upstream.detail).toContain('subprotocol');
    const other = await peerOf({});
    const { upstream: served } = open(other.url);
    await ready(served);
    expect(other.openings[0]).toMatchObject({ 'sec-websocket-protocol': 'mcp' });
    expect(other.openings[0]).not.toHaveProperty('sec-websocket-extensions');
  });

  it('never connects to a refused address, by its text or by what a name resolves to', async () => {
    const peer = await peerOf({});
    for (const url of ['ws://169.254.169.254/', peer.url, 'http://example.com/', 'ws://user:pass@example.com/']) {
      const { upstream } = open(url, { arePrivateNetworksAllowed: false });
      expect(upstream.state).toBe('down');
    }
    const named = open(peer.url.replace('127.0.0.1', 'ip6-localhost'), { arePrivateNetworksAllowed: false });
    await isDown(named.upstream);
    expect(peer.openings).toEqual([]);
  });

  it('gives up a server that accepts and never answers the upgrade', async () => {
    const url = await httpServer(() => {});
    const clock = new FakeClock();
    const { upstream } = open(url, {}, clock);
    clock.advance(5000);
    expect([upstream.state, upstream.detail]).toEqual(['down', 'cannot be reached: no WebSocket in time']);
  });

  it('gives up a server that answers no pings', async () => {
    const silent = await peerOf({ answersPings: false });
    const clock = new FakeClock();
    const { upstream } = open(silent.url, {}, clock);
    await ready(upstream);
    clock.advance(15_000);
    expect([upstream.state, upstream.detail]).toEqual(['down', 'gives no sign of life']);
  });

  it('keeps a quiet server that answers them', async () => {
    const peer = await peerOf({});
    const clock = new FakeClock();
    const { upstream } = open(peer.url, {}, clock);
    await ready(upstream);
    let pings = 0;
    for (const socket of peer.connections) socket.on('ping', () => (pings += 1));
    for (const wanted of [1, 2, 3, 4]) {
      clock.advance(5000);
      await until(() => pings === wanted, 'the ping arrives');
      // Its pong is on the way back, in order before this answer.
      await resultOf(upstream, call('echo'));
    }
    expect(upstream.state).toBe('ready');
  });
});
