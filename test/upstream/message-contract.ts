import { afterEach, describe, expect, it } from 'vitest';
import type { UpstreamSettings } from '../../src/core/config.ts';
import { UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_TIMEOUT } from '../../src/core/errors.ts';
import type { Upstream } from '../../src/core/upstream.ts';
import { buildUpstream } from '../../src/upstream/build.ts';
import type { MessagePeer } from './message-peer.ts';
import { ask, begin, call, deps, envelope, httpSettings, ready, RecordedEvents, resultOf, Sink, until } from './support.ts';

export interface Opened {
  readonly peer: MessagePeer;
  readonly upstream: Upstream;
  readonly events: RecordedEvents;
}

type Settings = Partial<UpstreamSettings>;

const OPTIONS = { restPath: '', principalKey: 'api_key:alice' };

/** What holds for every transport whose messages share one connection. `makePeer`: a server that does not listen yet. */
export function describeMessageUpstream(transport: 'websocket' | 'sse', makePeer: () => MessagePeer): void {
  const opened: { readonly peer: MessagePeer; readonly upstream: Upstream }[] = [];

  afterEach(async () => {
    for (const { peer, upstream } of opened.splice(0)) {
      await upstream.close();
      await peer.stop();
    }
  });

  async function open(more: Settings = {}): Promise<Opened> {
    const peer = makePeer();
    await peer.listen();
    const events = new RecordedEvents();
    const upstream = buildUpstream({ ...httpSettings(peer.url, more, { headers: { 'x-token': 'hush' } }), transport }, deps(events));
    opened.push({ peer, upstream });
    upstream.start();
    return { peer, upstream, events };
  }

  async function openReady(more: Settings = {}): Promise<Opened> {
    const one = await open(more);
    await ready(one.upstream);
    return one;
  }

  describe(`an upstream over ${transport}`, () => {
    it('introduces itself, sends the configured headers, and lets the first callers wait for it', async () => {
      const { peer, upstream } = await open();
      expect(upstream.state).toBe('starting');
      expect(await resultOf(upstream, call('echo', { early: true }))).toEqual({ early: true });
      expect(peer.received).toMatchObject([
        { method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {} } },
        { method: 'notifications/initialized' },
        { method: 'echo' },
      ]);
      expect(peer.openings).toHaveLength(1);
      expect(peer.openings[0]).toMatchObject({ 'x-token': 'hush', 'user-agent': 'mcp-guard/0.0.0' });
      expect([upstream.transport, upstream.state, upstream.info?.name]).toEqual([transport, 'ready', 'fixture']);
    });

    it('gives each caller its own answer, whatever the order and however equal the ids', async () => {
      const { upstream } = await openReady();
      const calls = Array.from({ length: 200 }, async (_, index) => {
        const principal = `api_key:${index % 20}`;
        const { reply } = await ask(upstream, call('sleep', { ms: (index * 37) % 100, value: `nonce ${index}` }, 1), principal);
        expect(reply).toEqual({ jsonrpc: '2.0', id: 1, result: `nonce ${index}` });
      });
      await Promise.all(calls);
      expect(upstream.inFlight).toBe(0);
    });

    it('passes errors on, and a message with line breaks between its tokens as one', async () => {
      const { upstream } = await openReady();
      const failed = await ask(upstream, call('fail', {}, 'x'));
      expect(failed).toMatchObject({ isError: true, reply: { id: 'x', error: { code: -32_602 } } });
      const broken = envelope('{"jsonrpc":"2.0",\n"id":7,\r\n"method":"echo","params":{"text":"a\\nb \u2028"}}');
      expect(await resultOf(upstream, broken)).toEqual({ text: 'a\nb \u2028' });
    });

    it('relays progress to its caller alone, with the token that the caller chose', async () => {
      const { upstream, events } = await openReady();
      const sink = new Sink();
      begin(upstream, call('steps', { _meta: { progressToken: 'mine' } }), sink);
      await sink.outcome;
      expect(sink.messages.map(({ params }) => [params['progressToken'], params['progress']])).toEqual([
        ['mine', 1],
        ['mine', 2],
      ]);
      expect([sink.streams, sink.outcomes, events.count('unmatched')]).toEqual([1, 1, 0]);
    });

    it('translates a cancellation, for the principal who asked only', async () => {
      const { upstream, peer } = await openReady();
      const sink = new Sink();
      begin(upstream, call('never', {}, 'mine'), sink);
      const cancel = envelope({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'mine' } });
      expect(upstream.notify(cancel, { ...OPTIONS, principalKey: 'api_key:mallory' })).toBeNull();
      expect([upstream.inFlight, sink.outcomes]).toEqual([1, 0]);
      expect(upstream.notify(cancel, OPTIONS)).toBeNull();
      expect((await sink.outcome).detail).toBe('cancelled');
      const seen = (): readonly unknown[] => peer.received.filter(({ method }) => method === 'notifications/cancelled');
      await until(() => seen().length === 1, 'the cancellation arrives');
      const asked = peer.received.find(({ method }) => method === 'never');
      expect(seen()).toMatchObject([{ params: { requestId: asked?.id } }]);
    });

    it('answers pings of the server, and refuses what else it asks', async () => {
      const { peer, events } = await openReady();
      peer.say({ jsonrpc: '2.0', id: 'p', method: 'ping' });
      peer.say({ jsonrpc: '2.0', id: 's', method: 'sampling/createMessage', params: {} });
      const answers = (): readonly unknown[] => peer.received.filter(({ method, id }) => method === undefined && id !== undefined);
      await until(() => answers().length === 2, 'both are answered');
      expect(answers()).toMatchObject(expect.arrayContaining([expect.objectContaining({ id: 'p', result: {} })]));
      expect(answers()).toMatchObject(expect.arrayContaining([expect.objectContaining({ id: 's', error: expect.anything() })]));
      expect(events.count('server_request')).toBe(2);
    });

    it('drops what is no message and what answers nobody, counts it, and goes on', async () => {
      const { peer, upstream, events } = await openReady();
      peer.say('certainly {not json');
      peer.say('[1,2]');
      peer.say({ jsonrpc: '2.0', id: 4711, result: {} });
      peer.say({ jsonrpc: '2.0', id: 'a', result: {} });
      peer.say({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'secret of somebody' } });
      await until(() => events.noises.length === 5, 'all of it is counted');
      expect(events.noises.toSorted()).toEqual(['not_json', 'not_json', 'unmatched', 'unmatched', 'unmatched']);
      expect(await resultOf(upstream, call('echo', { still: 'here' }))).toEqual({ still: 'here' });
    });

    it('ends a connection whose message is over the limit, fails what was in flight, and comes back', async () => {
      const { peer, upstream, events } = await openReady({ maxResponseBytes: 4096 });
      const sink = new Sink();
      begin(upstream, call('never'), sink);
      peer.say({ jsonrpc: '2.0', id: 1, result: 'x'.repeat(5000) });
      expect((await sink.outcome).refusal).toBe(UPSTREAM_FAILED);
      expect(events.count('oversize')).toBe(1);
      expect(upstream.detail).toContain('over the limit');
      await ready(upstream);
      expect(await resultOf(upstream, call('echo', { back: true }))).toEqual({ back: true });
    });

    it('fails what is in flight when the connection breaks, and serves again by itself', async () => {
      const { peer, upstream } = await openReady();
      const sink = new Sink();
      begin(upstream, call('never'), sink);
      await until(() => peer.received.some(({ method }) => method === 'never'), 'the call arrives');
      peer.drop();
      expect((await sink.outcome).refusal).toBe(UPSTREAM_FAILED);
      await ready(upstream);
      expect(await resultOf(upstream, call('echo', { back: true }))).toEqual({ back: true });
      expect(peer.openings).toHaveLength(2);
    });

    it('is down while nobody listens, and ready when somebody does again', async () => {
      const { peer, upstream } = await openReady();
      await peer.stop();
      await until(() => upstream.state === 'down' && upstream.detail?.includes('ECONNREFUSED') === true, 'down');
      await peer.listen();
      await ready(upstream);
      expect(await resultOf(upstream, call('echo', { back: true }))).toEqual({ back: true });
    });

    it('gives a call up at its deadline and tells the server', async () => {
      const { peer, upstream } = await openReady({ timeoutMs: 150 });
      expect(await ask(upstream, call('never'))).toMatchObject({ refusal: UPSTREAM_TIMEOUT });
      await until(() => peer.received.some(({ method }) => method === 'notifications/cancelled'), 'the server is told');
    });

    it('refuses calls after it was closed, and fails those in flight', async () => {
      const { upstream } = await openReady();
      const sink = new Sink();
      begin(upstream, call('never'), sink);
      await upstream.close();
      expect((await sink.outcome).refusal).toBe(UPSTREAM_DOWN);
      expect((await ask(upstream, call('echo'))).refusal).toBe(UPSTREAM_DOWN);
      expect(upstream.state).toBe('closed');
    });
  });
}
