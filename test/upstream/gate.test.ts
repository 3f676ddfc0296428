import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { UpstreamSettings } from '../../src/core/config.ts';
import { UPSTREAM_BUSY, UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_OPEN, UPSTREAM_TIMEOUT } from '../../src/core/errors.ts';
import type { Upstream } from '../../src/core/upstream.ts';
import { buildRegistry, type Registry, type RegistryDeps } from '../../src/upstream/registry.ts';
import { type Behaviour, McpHttpServer, reply } from './http-server.ts';
import {
  ask,
  begin,
  call,
  envelope,
  httpSettings,
  type Outcome,
  ready,
  RecordedEvents,
  registryDeps,
  Sink,
  stdioSettings,
  until,
} from './support.ts';

const opened: Registry[] = [];
const servers: McpHttpServer[] = [];

interface Opened {
  readonly upstream: Upstream;
  readonly server: McpHttpServer;
  readonly events: RecordedEvents;
  readonly places: RegistryDeps['places'];
}

/** Answers of the server's `x`, which are the test's to give: by the name that the call has. */
class Held {
  readonly #responses = new Map<string, { response: ServerResponse; id: number }>();
  readonly order: string[] = [];

  readonly behaviour: Behaviour = {
    handlers: {
      x: (response, { id, params }) => {
        this.#responses.set(String(params['name']), { response, id });
        this.order.push(String(params['name']));
      },
    },
  };

  answer(name: string): void {
    const held = this.#responses.get(name);
    if (held === undefined) throw new Error(`${name} has not arrived`);
    reply(held.response, held.id, name);
  }

  arrived(name: string): Promise<void> {
    return until(() => this.order.includes(name), `${name} arrives`);
  }
}

function named(name: string, id: string | number = name): ReturnType<typeof call> {
  return call('x', { name }, id);
}

async function open(behaviour: Behaviour, more: Partial<UpstreamSettings>): Promise<Opened> {
  const server = await new McpHttpServer(behaviour).listen();
  servers.push(server);
  const events = new RecordedEvents();
  const deps = registryDeps(events);
  const registry = buildRegistry([httpSettings(server.url, more)], deps);
  opened.push(registry);
  const upstream = registry.get('one') as Upstream;
  await ready(upstream);
  return { upstream, server, events, places: deps.places };
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((registry) => registry.close()));
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

describe('GatedUpstream: places', () => {
  it('refuses at once what is one too many, and has the place again with the answer', async () => {
    const held = new Held();
    const { upstream } = await open(held.behaviour, { maxConcurrency: 1 });
    const first = ask(upstream, named('a'));
    await held.arrived('a');
    expect((await ask(upstream, named('b'))).refusal).toBe(UPSTREAM_BUSY);
    held.answer('a');
    expect((await first).reply?.result).toBe('a');
    const next = ask(upstream, named('c'));
    await held.arrived('c');
    held.answer('c');
    expect((await next).reply?.result).toBe('c');
  });

  it('a client that leaves keeps its place until the upstream is done, and learns when', async () => {
    const held = new Held();
    const { upstream, places } = await open(held.behaviour, { maxConcurrency: 1 });
    let isOver = false;
    begin(upstream, named('a'), new Sink()).detach(() => (isOver = true));
    await held.arrived('a');
    expect([(await ask(upstream, named('b'))).refusal, isOver]).toEqual([UPSTREAM_BUSY, false]);
    held.answer('a');
    await until(() => isOver, 'its end');
    expect(places.size).toBe(0);
  });

  it('keeps no place after whatever end: error, no answer, cancellation', async () => {
    const behaviour: Behaviour = {
      handlers: { bad: (response) => response.writeHead(500).end(), mute: () => undefined, cut: (response) => response.destroy() },
    };
    const { upstream, places } = await open(behaviour, { maxConcurrency: 3, timeoutMs: 200 });
    const outcomes = await Promise.all(['bad', 'mute', 'cut'].map((method) => ask(upstream, call(method))));
    expect(outcomes.map(({ refusal }) => refusal)).toEqual([UPSTREAM_FAILED, UPSTREAM_TIMEOUT, UPSTREAM_FAILED]);
    const sink = new Sink();
    begin(upstream, call('mute', {}, 'q'), sink);
    const cancel = envelope({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'q' } });
    upstream.notify(cancel, { restPath: '', principalKey: 'api_key:alice' });
    expect([(await sink.outcome).detail, places.size]).toEqual(['cancelled', 0]);
  });
});

describe('GatedUpstream: the queue', () => {
  const queue = { maxConcurrency: 1, queueMs: 10_000, queueMax: 4 };

  it('serves who waits in turns of the principals', async () => {
    const held = new Held();
    const { upstream } = await open(held.behaviour, queue);
    const outcomes = ['first', 'a1', 'a2', 'a3', 'b1'].map((name) => ask(upstream, named(name), name.slice(0, 1)));
    expect(upstream.inFlight).toBe(5);
    for (const name of ['first', 'a1', 'b1', 'a2', 'a3']) {
      await held.arrived(name);
      held.answer(name);
    }
    expect((await Promise.all(outcomes)).map(({ reply: answer }) => answer?.id)).toEqual(['first', 'a1', 'a2', 'a3', 'b1']);
    expect(held.order).toEqual(['first', 'a1', 'b1', 'a2', 'a3']);
  });

  it('is full for the caller who fills it; another caller displaces his newest', async () => {
    const held = new Held();
    const { upstream } = await open(held.behaviour, queue);
    const of = (name: string): Promise<Outcome> => ask(upstream, named(name), name.slice(0, 1));
    const waiting = ['f', 'a1', 'a2', 'a3', 'a4'].map(of);
    expect((await of('a5')).refusal).toBe(UPSTREAM_BUSY);
    const other = of('b1');
    expect((await (waiting[4] as Promise<Outcome>)).refusal).toBe(UPSTREAM_BUSY);
    for (const name of ['f', 'a1', 'b1']) {
      await held.arrived(name);
      held.answer(name);
    }
    expect((await other).reply?.result).toBe('b1');
  });

  it('refuses who waited too long, and his place in the queue is free', async () => {
    const held = new Held();
    const { upstream } = await open(held.behaviour, { ...queue, queueMs: 100, queueMax: 1 });
    void ask(upstream, named('a'));
    const startMs = performance.now();
    const late = await ask(upstream, named('b'));
    expect([late.refusal, performance.now() - startMs >= 95, upstream.inFlight]).toEqual([UPSTREAM_BUSY, true, 1]);
    const next = ask(upstream, named('c'));
    held.answer('a');
    await held.arrived('c');
    held.answer('c');
    expect((await next).reply?.result).toBe('c');
  });

  it('a client that leaves frees its place in the queue, and is never sent', async () => {
    const held = new Held();
    const { upstream, places } = await open(held.behaviour, { ...queue, queueMax: 1 });
    const first = ask(upstream, named('a'));
    let isOver = false;
    begin(upstream, named('gone'), new Sink()).detach(() => (isOver = true));
    expect([isOver, upstream.inFlight]).toEqual([true, 1]);
    const next = ask(upstream, named('b'));
    await held.arrived('a');
    held.answer('a');
    await held.arrived('b');
    held.answer('b');
    await Promise.all([first, next]);
    expect([held.order, places.size]).toEqual([['a', 'b'], 0]);
  });

  it('a call can be taken back while it waits, by its own principal only, and not when two have its id', async () => {
    const held = new Held();
    const { upstream } = await open(held.behaviour, queue);
    void ask(upstream, named('a', 7), 'alice');
    await held.arrived('a');
    const waits = new Sink();
    begin(upstream, named('b', 8), waits, 'alice');
    const twin = new Sink();
    begin(upstream, named('c', 7), twin, 'alice');
    const cancel = (requestId: number, principalKey: string): unknown =>
      upstream.notify(envelope({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } }), {
        restPath: '',
        principalKey,
      });
    expect([cancel(8, 'mallory'), cancel(7, 'alice'), waits.outcomes, twin.outcomes]).toEqual([null, null, 0, 0]);
    cancel(8, 'alice');
    expect((await waits.outcome).detail).toBe('cancelled');
    held.answer('a');
    await held.arrived('c');
    expect(held.order).toEqual(['a', 'c']);
  });

  it('whoever waits is told when the gateway closes', async () => {
    const held = new Held();
    const { upstream } = await open(held.behaviour, queue);
    const outcomes = ['a', 'b'].map((name) => ask(upstream, named(name)));
    await upstream.close();
    expect((await Promise.all(outcomes)).map(({ refusal }) => refusal)).toEqual([UPSTREAM_DOWN, UPSTREAM_DOWN]);
  });
});

describe('GatedUpstream: the circuit', () => {
  const breaker = { failures: 3, openMs: 300 };
  const failing: Behaviour = { handlers: { bad: (response) => response.writeHead(503).end(), mute: () => undefined } };

  it('opens after consecutive failures, asks nothing of the upstream meanwhile, and closes with the answered probe', async () => {
    const { upstream, server, events } = await open(failing, { breaker });
    for (let i = 0; i < 3; i++) expect((await ask(upstream, call('bad'))).refusal).toBe(UPSTREAM_FAILED);
    expect([(await ask(upstream, call('y'))).refusal, upstream.circuit, upstream.retryAfterSecs]).toEqual([UPSTREAM_OPEN, 'open', 1]);
    await new Promise((resolve) => setTimeout(resolve, 320));
    const [probe, other] = [ask(upstream, call('y')), ask(upstream, call('y'))];
    expect([(await probe).refusal, (await other).refusal, server.calls('y').length]).toEqual([null, UPSTREAM_OPEN, 1]);
    expect((await ask(upstream, call('y'))).refusal).toBeNull();
    expect(events.circuits).toEqual(['open', 'half_open', 'closed']);
  });

  it('the deadline of a single tool opens nothing when it is shorter than that of the server', async () => {
    const { upstream } = await open(
      { handlers: { 'tools/call': () => undefined } },
      { breaker, timeoutMs: 20_000, toolTimeouts: [{ pattern: 'hasty', timeoutMs: 50, timeoutMaxMs: 50 }] },
    );
    const calls = Array.from({ length: 8 }, (_, id) => ask(upstream, call('tools/call', { name: 'hasty' }, id)));
    expect((await Promise.all(calls)).map(({ refusal }) => refusal)).toEqual(calls.map(() => UPSTREAM_TIMEOUT));
    expect(upstream.circuit).toBe('closed');
  });

  it('counts what failed for a client that is gone: impatient clients do not hide a dead server', async () => {
    const { upstream } = await open(failing, { breaker, timeoutMs: 150 });
    for (let i = 0; i < 3; i++) begin(upstream, call('mute'), new Sink()).detach(() => undefined);
    await until(() => upstream.circuit === 'open', 'the circuit opens');
    expect((await ask(upstream, call('y'))).refusal).toBe(UPSTREAM_OPEN);
  });

  it('a probe that its caller takes back makes way for the next', async () => {
    const { upstream } = await open(failing, { breaker });
    for (let i = 0; i < 3; i++) await ask(upstream, call('bad'));
    await new Promise((resolve) => setTimeout(resolve, 320));
    const sink = new Sink();
    begin(upstream, call('mute', {}, 'probe'), sink);
    const cancel = envelope({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'probe' } });
    upstream.notify(cancel, { restPath: '', principalKey: 'api_key:alice' });
    expect((await sink.outcome).detail).toBe('cancelled');
    expect([(await ask(upstream, call('y'))).refusal, upstream.circuit]).toEqual([null, 'closed']);
  });

  it('JSON-RPC errors, refused requests and odd answers are answers: callers cannot provoke it', async () => {
    const error = (response: ServerResponse, id: number): void =>
      void response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32603, message: 'no' } }));
    const behaviour: Behaviour = {
      handlers: {
        error: (response, { id }) => error(response, id),
        bad: (response) => response.writeHead(400).end(),
        html: (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
        large: (response, { id }) => reply(response, id, 'x'.repeat(20_000)),
      },
    };
    const { upstream } = await open(behaviour, { breaker, maxResponseBytes: 10_000 });
    for (const method of ['error', 'bad', 'html', 'large', 'error', 'bad', 'html', 'large']) await ask(upstream, call(method));
    expect([(await ask(upstream, call('y'))).refusal, upstream.circuit]).toEqual([null, 'closed']);
  });

  it('a child that dies is brought back by its own back-off and opens nothing', async () => {
    const registry = buildRegistry([stdioSettings({}, { breaker: { failures: 1, openMs: 60_000 } })], registryDeps());
    opened.push(registry);
    const upstream = registry.get('one') as Upstream;
    await ready(upstream);
    const flights = Array.from({ length: 8 }, () => ask(upstream, call('hang')));
    process.kill(upstream.pids[0] ?? 0, 'SIGKILL');
    expect((await Promise.all(flights)).every(({ refusal }) => refusal === UPSTREAM_FAILED)).toBe(true);
    await ready(upstream);
    expect([(await ask(upstream, call('echo'))).refusal, upstream.circuit]).toEqual([null, 'closed']);
  });
});
