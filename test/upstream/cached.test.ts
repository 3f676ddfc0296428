import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { UpstreamSettings } from '../../src/core/config.ts';
import type { Upstream } from '../../src/core/upstream.ts';
import { buildUpstream } from '../../src/upstream/build.ts';
import { CachedUpstream } from '../../src/upstream/cached.ts';
import { GatedUpstream } from '../../src/upstream/gate.ts';
import { FakeClock } from './fake-clock.ts';
import { json, McpHttpServer, reply } from './http-server.ts';
import { ask, begin, call, deps, envelope, httpSettings, ready, registryDeps, resultOf, Sink, stdioSettings, until } from './support.ts';

const TTL_MS = 60_000;
const opened: Upstream[] = [];
const servers: McpHttpServer[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((upstream) => upstream.close()));
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

/** What the server does to the next requests for its lists. */
type Mode = 'answers' | 'holds' | 'fails' | 'errors' | 'denies' | 'odd';

interface ListRequest {
  readonly id: number;
  readonly params: Record<string, unknown>;
}

class Lists {
  mode: Mode = 'answers';
  version = 1;
  readonly held: (() => void)[] = [];
  readonly server: McpHttpServer;

  constructor() {
    const list = (kind: string, response: ServerResponse, { id, params }: ListRequest): void => {
      const version = this.version;
      const item = kind === 'tools' ? { name: `tool-${version}` } : { uri: `x://${version}`, name: 'x' };
      const answer = (): void => reply(response, id, { [kind]: [item], nextCursor: String(params['cursor'] ?? '') });
      if (this.mode === 'holds') this.held.push(answer);
      else if (this.mode === 'fails') response.writeHead(500).end();
      else if (this.mode === 'answers') answer();
      else if (this.mode === 'odd') reply(response, id, { oops: true });
      else json(response, JSON.stringify({ jsonrpc: '2.0', id, error: { code: this.mode === 'errors' ? -32603 : -32602, message: 'no' } }));
    };
    const handlers = {
      'tools/list': (response: ServerResponse, seen: ListRequest) => list('tools', response, seen),
      'resources/list': (response: ServerResponse, seen: ListRequest) => list('resources', response, seen),
      'tools/call': (response: ServerResponse, seen: { id: number }) => unknownTool(response, seen.id),
    };
    this.server = new McpHttpServer({ handlers });
    servers.push(this.server);
  }

  get asked(): number {
    return this.server.calls('tools/list').length;
  }
}

function unknownTool(response: ServerResponse, id: number): void {
  json(response, JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32602, message: 'Unknown tool' } }));
}

interface Opened {
  readonly lists: Lists;
  readonly cached: CachedUpstream;
  readonly clock: FakeClock;
}

async function open(more: Partial<UpstreamSettings> = {}): Promise<Opened> {
  const lists = new Lists();
  await lists.server.listen();
  const clock = new FakeClock();
  const cached = new CachedUpstream(buildUpstream(httpSettings(lists.server.url, more), deps()), TTL_MS, clock);
  opened.push(cached);
  cached.start();
  await ready(cached);
  return { lists, cached, clock };
}

const list = (params: object = {}, id: string | number = 1): ReturnType<typeof call> => call('tools/list', params, id);

describe('CachedUpstream', () => {
  it('asks once for all callers, gives each its own id, and asks again after the time to live', async () => {
    const { lists, cached, clock } = await open();
    for (const [id, who] of [
      [1, 'api_key:alice'],
      ['a "quoted" id', 'api_key:bob'],
      [9_007_199_254_740_991, 'api_key:alice'],
    ] as const) {
      const { reply: answer } = await ask(cached, list({}, id), who);
      expect(answer).toEqual({ jsonrpc: '2.0', id, result: { tools: [{ name: 'tool-1' }], nextCursor: '' } });
    }
    expect(lists.asked).toBe(1);
    lists.version = 2;
    clock.advance(TTL_MS);
    expect(await resultOf(cached, list())).toMatchObject({ tools: [{ name: 'tool-2' }] });
    expect(cached.figures()).toMatchObject({ hits: 2, misses: 2, joined: 0, stale: 0, bypassed: 0, pages: 1 });
    expect(cached.figures().bytes).toBeGreaterThan(50);
  });

  it('never answers inside request', async () => {
    const { cached } = await open();
    await ask(cached, list());
    const sink = new Sink();
    begin(cached, list(), sink);
    expect(sink.outcomes).toBe(0);
    await sink.outcome;
    expect(sink.outcomes).toBe(1);
  });

  it('keeps pages, methods and paths behind the URL apart', async () => {
    const { lists, cached } = await open();
    for (const cursor of ['b', 'c', 'b']) expect(await resultOf(cached, list({ cursor }))).toMatchObject({ nextCursor: cursor });
    await ask(cached, call('resources/list', { cursor: 'b' }));
    expect([lists.asked, lists.server.calls('resources/list').length]).toEqual([2, 1]);
    const sink = new Sink();
    cached.request(list({ cursor: 'b' }), { restPath: '/other', principalKey: 'api_key:alice' }, sink);
    await sink.outcome;
    expect(lists.asked).toBe(3);
    expect(lists.server.calls('tools/list').at(-1)?.path).toBe('/mcp/other');
  });

  it('does not let what callers send beside the cursor into the kept answer', async () => {
    const { lists, cached } = await open();
    await ask(cached, list({ _meta: { progressToken: 7, 'x/secret': 'of alice' } }));
    await ask(cached, list({ _meta: { 'x/other': true } }));
    expect(lists.server.calls('tools/list').map(({ message }) => message.params)).toEqual([undefined]);
    // What the protocol does not know may decide the answer: those requests are the caller's own.
    await ask(cached, list({ filter: 'mine' }));
    await ask(cached, list({ cursor: 5 }));
    await ask(cached, list({ cursor: 'x'.repeat(5000) }));
    expect(
      lists.server
        .calls('tools/list')
        .slice(1)
        .map(({ message }) => message.params?.['filter']),
    ).toEqual(['mine', undefined, undefined]);
    expect(cached.figures()).toMatchObject({ bypassed: 3, pages: 1 });
  });

  it('sends one request for many who ask at once, and each has its own end', async () => {
    const { lists, cached } = await open();
    lists.mode = 'holds';
    const sinks = Array.from({ length: 20 }, () => new Sink());
    const flights = sinks.map((sink, index) => begin(cached, list({}, index), sink));
    await until(() => lists.held.length === 1, 'the list is asked for');
    let over = 0;
    flights[0]?.detach(() => (over += 1));
    cached.notify(envelope({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } }), {
      restPath: '',
      principalKey: 'api_key:mallory',
    });
    cached.notify(envelope({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 2 } }), {
      restPath: '',
      principalKey: 'api_key:alice',
    });
    expect(sinks.map(({ outcomes }) => outcomes)).toEqual(sinks.map((_, index) => (index === 2 ? 1 : 0)));
    expect(over).toBe(0);
    lists.held[0]?.();
    const outcomes = await Promise.all(sinks.slice(3).map(({ outcome }) => outcome));
    expect(outcomes.map(({ reply: answer }) => answer?.id)).toEqual(Array.from({ length: 17 }, (_, index) => index + 3));
    expect([sinks[0]?.outcomes, over]).toEqual([0, 1]);
    expect((await (sinks[1] as Sink).outcome).reply?.id).toBe(1);
    expect(lists.asked).toBe(1);
    expect(cached.figures()).toMatchObject({ misses: 1, joined: 19 });
  });

  it('takes its request back when all who waited took theirs back, and not before', async () => {
    const { lists, cached } = await open();
    lists.mode = 'holds';
    const sinks = [1, 2].map((id) => {
      const sink = new Sink();
      begin(cached, list({}, id), sink);
      return sink;
    });
    await until(() => lists.held.length === 1, 'the list is asked for');
    const cancel = (requestId: number): void =>
      void cached.notify(envelope({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } }), {
        restPath: '',
        principalKey: 'api_key:alice',
      });
    cancel(1);
    expect([cached.inFlight, sinks.map(({ outcomes }) => outcomes)]).toEqual([1, [1, 0]]);
    cancel(2);
    expect([cached.inFlight, sinks.map(({ outcomes }) => outcomes)]).toEqual([0, [1, 1]]);
    await until(() => lists.server.calls('notifications/cancelled').length === 1, 'the server is told');
  });

  it('keeps no answer that is no list, and serves the old list instead while there is one', async () => {
    const { lists, cached, clock } = await open();
    lists.mode = 'odd';
    expect(await resultOf(cached, list())).toEqual({ oops: true });
    expect(cached.figures()).toMatchObject({ pages: 0 });
    lists.mode = 'answers';
    const sound = await resultOf(cached, list());
    lists.mode = 'odd';
    clock.advance(TTL_MS + 1);
    expect([await resultOf(cached, list()), cached.figures().stale]).toEqual([sound, 1]);
    expect(lists.asked).toBe(3);
  });

  it('tells all who wait of a failure, and keeps none', async () => {
    const { lists, cached } = await open();
    lists.mode = 'fails';
    const outcomes = await Promise.all([ask(cached, list({}, 1)), ask(cached, list({}, 2))]);
    expect(outcomes.map(({ refusal }) => refusal?.code)).toEqual(['UPSTREAM_FAILED', 'UPSTREAM_FAILED']);
    lists.mode = 'errors';
    const errors = await Promise.all([ask(cached, list({}, 'e1')), ask(cached, list({}, 'e2'))]);
    expect(errors.map(({ reply: answer }) => [answer?.id, answer?.error?.code])).toEqual([
      ['e1', -32603],
      ['e2', -32603],
    ]);
    expect(cached.figures()).toMatchObject({ pages: 0, bytes: 0 });
  });

  it('serves an old page when no new one is to be had, and leaves the server alone for a while', async () => {
    const { lists, cached, clock } = await open();
    await ask(cached, list());
    for (const mode of ['fails', 'errors'] as const) {
      clock.advance(TTL_MS);
      lists.mode = mode;
      const before = lists.asked;
      expect(await resultOf(cached, list())).toMatchObject({ tools: [{ name: 'tool-1' }] });
      expect(await resultOf(cached, list())).toMatchObject({ tools: [{ name: 'tool-1' }] });
      expect(lists.asked).toBe(before + 1);
    }
    await lists.server.stop();
    clock.advance(TTL_MS);
    expect(await resultOf(cached, list())).toMatchObject({ tools: [{ name: 'tool-1' }] });
    expect(cached.figures().stale).toBe(5);
    // Not for ever.
    clock.advance(2 * 3_600_000);
    expect((await ask(cached, list())).reply).toBeNull();
    expect(cached.figures()).toMatchObject({ pages: 0, bytes: 0 });
  });

  it('passes on what the server says of the request itself, and forgets the page', async () => {
    const { lists, cached, clock } = await open();
    await ask(cached, list({ cursor: 'gone' }));
    clock.advance(TTL_MS);
    lists.mode = 'denies';
    expect((await ask(cached, list({ cursor: 'gone' }))).reply?.error?.code).toBe(-32602);
    expect(cached.figures().pages).toBe(0);
  });

  it('asks anew after a change of that kind, also when the answer was under way', async () => {
    const { lists, cached } = await open();
    await ask(cached, list());
    cached.invalidate('resources');
    await ask(cached, list());
    expect(lists.asked).toBe(1);
    cached.invalidate('tools');
    lists.mode = 'holds';
    const old = ask(cached, list());
    await until(() => lists.held.length === 1, 'the list is asked for');
    lists.version = 2;
    cached.invalidate('tools');
    const renewed = ask(cached, list());
    await until(() => lists.held.length === 2, 'the list is asked for again');
    for (const answer of lists.held) answer();
    expect([(await old).reply?.result, (await renewed).reply?.result]).toMatchObject([
      { tools: [{ name: 'tool-1' }] },
      { tools: [{ name: 'tool-2' }] },
    ]);
    lists.mode = 'answers';
    expect(await resultOf(cached, list())).toMatchObject({ tools: [{ name: 'tool-2' }] });
    expect(cached.figures().invalidations).toBe(3);
  });

  it('asks anew when the server does not know a tool, but not more often than every five seconds', async () => {
    const { lists, cached, clock } = await open();
    await ask(cached, list());
    clock.advance(4_900);
    await ask(cached, call('tools/call', { name: 'gone' }));
    await ask(cached, list());
    expect(lists.asked).toBe(1);
    clock.advance(200);
    for (let i = 0; i < 5; i++) {
      await ask(cached, call('tools/call', { name: 'gone' }));
      await ask(cached, list());
    }
    expect(lists.asked).toBe(2);
  });

  it('lets nobody who names unknown tools make other lists old, or what is on its way, or ask a failing server more often', async () => {
    const { lists, cached, clock } = await open();
    const doubt = async (): Promise<void> => void (await ask(cached, call('tools/call', { name: 'gone' })));
    await ask(cached, list());
    lists.mode = 'holds';
    const [tools, resources] = [ask(cached, list({ cursor: 'b' })), ask(cached, call('resources/list', { cursor: 'b' }))];
    await until(() => lists.held.length === 2, 'both lists are asked for');
    await doubt();
    for (const answer of lists.held) answer();
    await Promise.all([tools, resources]);
    lists.mode = 'answers';
    const before = cached.figures().misses;
    await Promise.all([ask(cached, list({ cursor: 'b' })), ask(cached, call('resources/list', { cursor: 'b' }))]);
    expect(cached.figures().misses).toBe(before);
    clock.advance(6_000);
    await doubt();
    await ask(cached, call('resources/list', { cursor: 'b' }));
    expect(cached.figures().misses).toBe(before);
    lists.mode = 'fails';
    for (let round = 0; round < 3; round++) {
      await doubt();
      await ask(cached, list());
    }
    expect(cached.figures().misses).toBe(before + 1);
  });

  it('serves the old page when a new one takes long, to those who wait and those who come, and the new one when it is there', async () => {
    const { lists, cached, clock } = await open();
    await ask(cached, list());
    clock.advance(TTL_MS);
    lists.mode = 'holds';
    lists.version = 2;
    const waits = [ask(cached, list({}, 1)), ask(cached, list({}, 2))];
    await until(() => lists.held.length === 1, 'the list is asked for');
    clock.advance(2_000);
    expect((await Promise.all(waits)).map(({ reply: answer }) => [answer?.id, answer?.result])).toMatchObject([
      [1, { tools: [{ name: 'tool-1' }] }],
      [2, { tools: [{ name: 'tool-1' }] }],
    ]);
    expect(await resultOf(cached, list())).toMatchObject({ tools: [{ name: 'tool-1' }] });
    expect([lists.held.length, cached.figures().stale]).toEqual([1, 3]);
    lists.held[0]?.();
    await until(() => cached.inFlight === 0, 'the new page');
    expect(await resultOf(cached, list())).toMatchObject({ tools: [{ name: 'tool-2' }] });
    expect(lists.asked).toBe(2);
  });

  it('has no old page to serve for a first one that takes long', async () => {
    const { lists, cached, clock } = await open();
    lists.mode = 'holds';
    const [first, second] = [new Sink(), new Sink()];
    begin(cached, list({}, 1), first);
    await until(() => lists.held.length === 1, 'the list is asked for');
    clock.advance(2_000);
    begin(cached, list({}, 2), second);
    lists.held[0]?.();
    const outcomes = await Promise.all([first.outcome, second.outcome]);
    expect(outcomes.map(({ reply: answer }) => answer?.id)).toEqual([1, 2]);
    expect(lists.asked).toBe(1);
  });

  it('waits for a place in the turns of each caller, whose made-up cursors delay nobody else', async () => {
    const lists = new Lists();
    await lists.server.listen();
    const settings = httpSettings(lists.server.url, { maxConcurrency: 1, queueMs: 60_000, queueMax: 1000 });
    const clock = new FakeClock();
    const gate = new GatedUpstream(settings, buildUpstream(settings, deps()), {
      clock,
      places: registryDeps().places,
      circuit: null,
      workers: 1,
    });
    const cached = new CachedUpstream(gate, TTL_MS, clock);
    opened.push(cached);
    cached.start();
    await ready(cached);
    lists.mode = 'holds';
    const sinks = Array.from({ length: 50 }, () => new Sink());
    for (const [index, sink] of sinks.entries())
      cached.request(list({ cursor: `made up ${index}` }, index), { restPath: '', principalKey: 'api_key:mallory' }, sink);
    const mine = new Sink();
    begin(cached, list(), mine);
    await until(() => lists.held.length === 1, 'the first is asked for');
    let answered = 0;
    while (mine.outcomes === 0) {
      await until(() => lists.held.length > answered, 'the next is asked for');
      lists.held[answered++]?.();
      await until(() => mine.outcomes > 0 || lists.held.length > answered, 'the answer');
    }
    expect(answered).toBeLessThanOrEqual(5);
    expect(cached.figures()).toMatchObject({ bypassed: 42 });
  });

  it('is bounded in pages and bytes, whatever cursors callers make up', async () => {
    const { cached } = await open();
    for (let from = 0; from < 400; from += 50)
      await Promise.all(
        Array.from({ length: 50 }, (_, index) => ask(cached, list({ cursor: `made up ${from + index}` }), `api_key:${index}`)),
      );
    expect(cached.figures()).toMatchObject({ pages: 256, misses: 400 });
    const before = cached.figures().bytes;
    expect(before).toBeLessThan(256 * 1024);
    // The newest are kept.
    await ask(cached, list({ cursor: 'made up 399' }));
    expect(cached.figures()).toMatchObject({ hits: 1, bytes: before });
  });
});

describe('what a server says of its lists', () => {
  it('is told by a child process', async () => {
    const changes: string[] = [];
    const upstream = buildUpstream(stdioSettings(), {
      ...deps(),
      events: { ...deps().events, listChanged: (_server, kind) => changes.push(kind ?? 'any'), stateChanged: () => {}, noise: () => {} },
    });
    opened.push(upstream);
    upstream.start();
    await ready(upstream);
    await ask(upstream, call('announce', { kinds: ['tools', 'resources', 'prompts'] }));
    expect(changes).toEqual(['tools', 'resources', 'prompts']);
  });
});
