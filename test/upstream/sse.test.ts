import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { HttpSettings, UpstreamSettings } from '../../src/core/config.ts';
import { UPSTREAM_FAILED } from '../../src/core/errors.ts';
import type { Upstream } from '../../src/core/upstream.ts';
import { SseUpstream } from '../../src/upstream/sse.ts';
import { FakeClock } from './fake-clock.ts';
import { describeMessageUpstream } from './message-contract.ts';
import { McpSseServer, type SseBehaviour } from './sse-server.ts';
import { ask, begin, call, deps, httpSettings, ready, RecordedEvents, resultOf, Sink, until } from './support.ts';

describeMessageUpstream('sse', () => new McpSseServer());

const upstreams: Upstream[] = [];
const peers: McpSseServer[] = [];

afterEach(async () => {
  await Promise.all(upstreams.splice(0).map((upstream) => upstream.close()));
  await Promise.all(peers.splice(0).map((peer) => peer.stop()));
});

interface Opened {
  readonly upstream: Upstream;
  readonly events: RecordedEvents;
}

function open(url: string, http: Partial<HttpSettings> = {}, clock = systemClock, more: Partial<UpstreamSettings> = {}): Opened {
  const events = new RecordedEvents();
  const settings = httpSettings(url, more, http);
  const upstream = new SseUpstream({ ...settings, transport: 'sse' }, settings.http, deps(events, clock));
  upstreams.push(upstream);
  upstream.start();
  return { upstream, events };
}

async function peerOf(behaviour: SseBehaviour = {}): Promise<McpSseServer> {
  const peer = await new McpSseServer(behaviour).listen();
  peers.push(peer);
  return peer;
}

const isDown = (upstream: Upstream): Promise<void> => until(() => upstream.state === 'down', 'down');

describe('SseUpstream', () => {
  it('posts to the address that the stream named, with the configured headers and nothing of its own session', async () => {
    const peer = await peerOf();
    const { upstream } = open(peer.url, { headers: { authorization: 'Bearer up' } });
    await ready(upstream);
    await resultOf(upstream, call('echo'));
    expect(peer.posts.map(({ url }) => url)).toEqual(['/messages?sessionId=s1', '/messages?sessionId=s1', '/messages?sessionId=s1']);
    expect(peer.posts.at(-1)?.headers).toMatchObject({ authorization: 'Bearer up', 'content-type': 'application/json' });
    expect(peer.posts.at(-1)?.headers).not.toHaveProperty('mcp-session-id');
  });

  it.each(['http://127.0.0.2:1/messages', '//other.example/messages', 'https://127.0.0.1/messages', 'file:///etc/passwd'])(
    'refuses an address of another origin: %s',
    async (endpoint) => {
      const peer = await peerOf({ endpoint });
      const { upstream } = open(peer.url, { headers: { authorization: 'Bearer up' } });
      await isDown(upstream);
      expect(upstream.detail).toContain('another origin');
      expect(peer.posts).toEqual([]);
    },
  );

  it('takes a whole URL of its own origin, and an address relative to the stream', async () => {
    const absolute = await peerOf();
    const relative = await peerOf({ endpoint: 'deeper/messages' });
    const named = await peerOf({ endpoint: `${new URL(absolute.url).origin.replace(/\d+$/, '')}1/` });
    for (const peer of [absolute, relative]) await ready(open(peer.url).upstream);
    expect(relative.posts[0]?.url).toBe('/deeper/messages');
    const { upstream } = open(named.url);
    await isDown(upstream);
    expect(named.posts).toEqual([]);
  });

  it('lets nothing overtake the handshake, though each message has a request of its own', async () => {
    const slow = (message: { readonly method?: string }): Promise<number> | undefined =>
      message.method === 'notifications/initialized' ? new Promise((resolve) => setTimeout(() => resolve(202), 150)) : undefined;
    const peer = await peerOf({ accept: slow });
    const { upstream } = open(peer.url);
    await Promise.all([1, 2, 3].map((id) => ask(upstream, call('echo', {}, id))));
    expect(peer.received.map(({ method }) => method)).toEqual(['initialize', 'notifications/initialized', 'echo', 'echo', 'echo']);
  });

  it('fails the one call whose message is refused, and no other', async () => {
    const peer = await peerOf({ accept: ({ params }) => (params?.['large'] === undefined ? undefined : 413) });
    const { upstream } = open(peer.url);
    await ready(upstream);
    const other = new Sink();
    begin(upstream, call('sleep', { ms: 200, value: 'fine' }, 'other'), other);
    const refused = await ask(upstream, call('echo', { large: true }));
    expect(refused).toMatchObject({ refusal: UPSTREAM_FAILED, detail: 'answered HTTP 413 to the message' });
    expect((await other.outcome).reply).toMatchObject({ id: 'other', result: 'fine' });
    expect([upstream.state, peer.openings.length]).toEqual(['ready', 1]);
  });

  it('opens a new stream when the server has forgotten the old one', async () => {
    let isForgotten = true;
    const peer = await peerOf({ accept: ({ method }) => (method === 'echo' && isForgotten ? 404 : undefined) });
    const { upstream } = open(peer.url);
    await ready(upstream);
    expect((await ask(upstream, call('echo'))).refusal).toBe(UPSTREAM_FAILED);
    isForgotten = false;
    await ready(upstream);
    expect(await resultOf(upstream, call('echo', { back: true }))).toEqual({ back: true });
    expect(peer.posts.at(-1)?.url).toBe('/messages?sessionId=s2');
  });

  it.each<readonly [string, NonNullable<SseBehaviour['open']>]>([
    ['redirect (HTTP 307)', (response) => response.writeHead(307, { location: '/elsewhere' }).end()],
    ['HTTP 401 instead of an event stream', (response) => response.writeHead(401).end()],
    ['something else', (response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{}')],
    ['something else', (response) => response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' }).end()],
    ['ended its event stream', (response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).end()],
  ])('is down with a reason: %s', async (reason, answer) => {
    const peer = await peerOf({ open: answer });
    const { upstream } = open(peer.url);
    await isDown(upstream);
    expect(upstream.detail).toContain(reason);
  });

  it('never connects to a refused address', async () => {
    const peer = await peerOf();
    for (const url of ['http://169.254.169.254/sse', peer.url, 'ws://example.com/sse']) {
      expect(open(url, { arePrivateNetworksAllowed: false }).upstream.state).toBe('down');
    }
    expect(peer.openings).toEqual([]);
  });

  it('gives up a server that names no address in time', async () => {
    const peer = await peerOf({ open: (response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders() });
    const clock = new FakeClock();
    const { upstream } = open(peer.url, {}, clock);
    clock.advance(5000);
    expect([upstream.state, upstream.detail]).toEqual(['down', 'named no address for messages in time']);
  });

  it('pings a quiet server and gives up one that does not answer', async () => {
    let isSilent = false;
    const peer = await peerOf({ accept: () => (isSilent ? new Promise<number>(() => {}) : undefined) });
    const clock = new FakeClock();
    const { upstream } = open(peer.url, {}, clock);
    await ready(upstream);
    clock.advance(5000);
    await until(() => peer.received.some(({ method }) => method === 'ping'), 'a ping');
    await resultOf(upstream, call('echo'));
    isSilent = true;
    clock.advance(20_000);
    expect([upstream.state, upstream.detail]).toEqual(['down', 'gives no sign of life']);
  });
});
