import { realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { StdioSettings, UpstreamSettings } from '../../src/core/config.ts';
import { UPSTREAM_BUSY, UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_TIMEOUT } from '../../src/core/errors.ts';
import { StdioUpstream } from '../../src/upstream/stdio.ts';
import {
  ask,
  begin,
  call,
  deps,
  envelope,
  FIXTURE,
  isAlive,
  ready,
  RecordedEvents,
  resultOf,
  Sink,
  stdioSettings,
  until,
} from './support.ts';

const opened: StdioUpstream[] = [];

function open(
  stdio: Partial<StdioSettings> = {},
  more: Partial<UpstreamSettings> = {},
): { upstream: StdioUpstream; events: RecordedEvents } {
  const settings = stdioSettings(stdio, more);
  const events = new RecordedEvents();
  const upstream = new StdioUpstream(settings, settings.stdio, deps(events));
  opened.push(upstream);
  upstream.start();
  return { upstream, events };
}

function fixture(options: object): Partial<StdioSettings> {
  return { args: [FIXTURE, JSON.stringify(options)] };
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((upstream) => upstream.close()));
});

describe('StdioUpstream: the child', () => {
  it('passes arguments intact, without a shell', async () => {
    const args = ['a & b', '$HOME', '{"json": "\'quoted\'"}', '; touch x', '*', '', 'ü 😀'];
    const { upstream } = open({ args: [FIXTURE, '{}', ...args] });
    await ready(upstream);
    expect(await resultOf(upstream, call('argv'))).toEqual(['{}', ...args]);
  });

  it('shows the child only listed variables, and the configured folder', async () => {
    const cwd = realpathSync(tmpdir());
    const { upstream } = open({ env: { TOKEN: 'mine' }, cwd });
    await ready(upstream);
    expect(await resultOf(upstream, call('env'))).toEqual({ PATH: process.env['PATH'], HOME: '/nonexistent', TOKEN: 'mine' });
    expect(await resultOf(upstream, call('cwd'))).toBe(cwd);
  });

  it('introduces itself, learns who it is and lets the first callers wait for it', async () => {
    const { upstream } = open();
    expect(upstream.state).toBe('starting');
    const [, received] = await Promise.all([
      resultOf(upstream, call('echo', { early: true })),
      resultOf(upstream, call('received', {}, 2)),
    ]);
    expect(received).toMatchObject([
      {
        method: 'initialize',
        params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'mcp-guard', version: '0.0.0' } },
      },
      { method: 'notifications/initialized' },
      { method: 'echo' },
      { method: 'received' },
    ]);
    expect(upstream.info).toMatchObject({ name: 'fixture', version: '1.2.3', protocolVersion: '2025-11-25', instructions: 'be kind' });
    expect(upstream.info?.capabilities).toEqual(new Set(['tools']));
  });

  it('refuses to start a shell and stays down', async () => {
    const { upstream } = open({ command: '/bin/sh', args: ['-c', 'exit 0'] });
    expect([upstream.state, upstream.pids]).toEqual(['down', []]);
    expect(upstream.detail).toContain('allow_shell');
    expect((await ask(upstream, call('echo'))).refusal).toBe(UPSTREAM_DOWN);
  });

  it('marks a missing command down and names it', () => {
    const { upstream } = open({ command: 'no-such-program-anywhere' });
    expect(upstream.state).toBe('down');
    expect(upstream.detail).toContain('no-such-program-anywhere');
  });

  it('survives arguments that the operating system refuses', () => {
    const { upstream } = open({ args: ['a\0b'] });
    expect(upstream.state).toBe('down');
  });

  it('goes down when the child speaks no known protocol version', async () => {
    const { upstream } = open(fixture({ protocolVersion: '1999-01-01' }));
    await until(() => upstream.state === 'down', 'down');
    expect(upstream.detail).toContain('1999-01-01');
  });

  it('goes down when the child does not answer initialize in time', async () => {
    const { upstream } = open(fixture({ silent: true }), { timeoutMs: 300 });
    await until(() => upstream.state === 'down', 'down');
    expect(upstream.detail).toContain('initialize');
  });
});

describe('StdioUpstream: requests', () => {
  it('gives each caller its own answer, whatever the order and however equal the ids', async () => {
    const { upstream } = open();
    await ready(upstream);
    const calls = Array.from({ length: 200 }, async (_, index) => {
      const principal = `api_key:${index % 20}`;
      const { reply } = await ask(upstream, call('sleep', { ms: (index * 37) % 100, value: `nonce ${index}` }, 1), principal);
      expect(reply).toEqual({ jsonrpc: '2.0', id: 1, result: `nonce ${index}` });
    });
    await Promise.all(calls);
    expect(upstream.inFlight).toBe(0);
  });

  it('restores string ids, relays errors, and never calls a sink inside request', async () => {
    const { upstream } = open();
    await ready(upstream);
    const sink = new Sink();
    begin(upstream, call('no/such/method', {}, '"q\u00fc"'), sink);
    expect(sink.outcomes).toBe(0);
    const { reply, isError } = await sink.outcome;
    expect([reply?.id, reply?.error?.code, isError]).toEqual(['"qü"', -32601, true]);
  });

  it('lets no client put a second message on the wire', async () => {
    const { upstream, events } = open();
    await ready(upstream);
    const text = '{"jsonrpc":"2.0",\n"id":1,\r\n"method":"echo","params":{"a":"x\u2028y"\n}}';
    expect(await resultOf(upstream, envelope(text))).toEqual({ a: 'x\u2028y' });
    expect(await resultOf(upstream, call('received'))).toHaveLength(4);
    expect(events.noises).toEqual([]);
  });

  it('streams progress under the token of the client and marks the answer as a stream', async () => {
    const { upstream } = open();
    await ready(upstream);
    const sink = new Sink();
    begin(upstream, call('progress', { steps: 3, _meta: { progressToken: 'tok' } }, 'q'), sink);
    expect((await sink.outcome).reply).toMatchObject({ id: 'q', result: { steps: 3 } });
    expect(sink.streams).toBe(1);
    expect(sink.messages.map(({ method, params }) => [method, params['progressToken'], params['progress']])).toEqual([
      ['notifications/progress', 'tok', 1],
      ['notifications/progress', 'tok', 2],
      ['notifications/progress', 'tok', 3],
    ]);
  });

  it('answers without a stream when no progress was asked for', async () => {
    const { upstream, events } = open();
    await ready(upstream);
    const sink = new Sink();
    begin(upstream, call('progress', { steps: 2 }), sink);
    await sink.outcome;
    expect([sink.streams, sink.messages.length, events.count('unmatched')]).toEqual([0, 0, 2]);
  });

  it('spares a slow client further progress, and still gives it its answer', async () => {
    const { upstream } = open();
    await ready(upstream);
    const sink = new Sink();
    sink.keepsUp = false;
    begin(upstream, call('progress', { steps: 20, _meta: { progressToken: 1 } }), sink);
    expect((await sink.outcome).reply?.result).toEqual({ steps: 20 });
    expect(sink.messages).toHaveLength(1);
  });

  it('drops answers and notifications that match no request, and counts them', async () => {
    const { upstream, events } = open();
    await ready(upstream);
    const bystander = new Sink();
    begin(upstream, call('sleep', { ms: 200, value: 'mine', _meta: { progressToken: 't' } }), bystander, 'api_key:bob');
    expect(await resultOf(upstream, call('spoof'))).toBe('own');
    expect((await bystander.outcome).reply?.result).toBe('mine');
    expect([bystander.messages.length, events.count('unmatched')]).toEqual([0, 4]);
  });

  it('skips and counts lines that are no JSON-RPC', async () => {
    const { upstream, events } = open();
    await ready(upstream);
    expect(await resultOf(upstream, call('noise', { ok: true }))).toEqual({ ok: true });
    expect(events.count('not_json')).toBe(3);
  });

  it('answers pings of the server and refuses everything else it asks for', async () => {
    const { upstream, events } = open();
    await ready(upstream);
    expect(
      await resultOf(upstream, call('ask', { methods: ['ping', 'sampling/createMessage', 'elicitation/create', 'roots/list'] })),
    ).toMatchObject([
      { id: 'ask-ping', result: {} },
      { id: 'ask-sampling/createMessage', error: { code: -32601 } },
      { id: 'ask-elicitation/create', error: { code: -32601 } },
      { id: 'ask-roots/list', error: { code: -32601 } },
    ]);
    expect(events.count('server_request')).toBe(4);
  });

  it('hands on stderr line by line, cut where it is too long', async () => {
    const { upstream, events } = open();
    await ready(upstream);
    await resultOf(upstream, call('complain', { lines: ['one', '', 'zwei ü', 'z'.repeat(10_000), 'end\n'] }));
    await until(() => events.stderr.length >= 4, 'stderr');
    expect(events.stderr.map((line) => line.slice(0, 6))).toEqual(['one', 'zwei ü', 'zzzzzz', 'end']);
    expect(events.stderr[2]?.length).toBe(4097);
  });

  it('translates a cancellation for the owner of the request and drops it for everybody else', async () => {
    const { upstream } = open();
    await ready(upstream);
    begin(upstream, call('hang', {}, 'q'), new Sink(), 'api_key:alice');
    const cancel = envelope({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'q' } });
    expect(upstream.notify(cancel, { restPath: '', principalKey: 'api_key:mallory' })).toBeNull();
    expect(upstream.notify(cancel, { restPath: '', principalKey: 'api_key:alice' })).toBeNull();
    const received = (await resultOf(upstream, call('received'))) as { id?: number; method: string; params?: { requestId?: number } }[];
    const hanging = received.find(({ method }) => method === 'hang');
    const cancels = received.filter(({ method }) => method === 'notifications/cancelled');
    expect(cancels.map(({ params }) => params?.requestId)).toEqual([hanging?.id]);
  });

  it('forgets what is cancelled while the child is still starting', async () => {
    const { upstream } = open();
    const sink = new Sink();
    begin(upstream, call('tools/list', {}, 'q'), sink);
    const cancel = envelope({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'q' } });
    expect(upstream.notify(cancel, { restPath: '', principalKey: 'api_key:mallory' })?.code).toBe('UPSTREAM_DOWN');
    expect(upstream.notify(cancel, { restPath: '', principalKey: 'api_key:alice' })).toBeNull();
    expect([(await sink.outcome).detail, upstream.inFlight]).toEqual(['cancelled', 0]);
    await ready(upstream);
  });

  it('gives up what was cancelled: its place is free at once, and a late answer finds nobody', async () => {
    const { upstream, events } = open({}, { maxConcurrency: 1 });
    await ready(upstream);
    const sink = new Sink();
    begin(upstream, call('sleep', { ms: 200, value: 1 }, 'q'), sink, 'api_key:alice');
    const cancel = envelope({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'q' } });
    expect(upstream.notify(cancel, { restPath: '', principalKey: 'api_key:alice' })).toBeNull();
    expect([(await sink.outcome).detail, upstream.inFlight]).toEqual(['cancelled', 0]);
    expect(await resultOf(upstream, call('sleep', { ms: 0, value: 2 }))).toBe(2);
    await until(() => events.count('unmatched') === 1, 'the late answer');
    expect(sink.outcomes).toBe(1);
  });

  it('drops the answer for a client that left, and keeps its place until then', async () => {
    const { upstream, events } = open();
    await ready(upstream);
    const sink = new Sink();
    begin(upstream, call('sleep', { ms: 100, value: 1 }), sink).detach(() => undefined);
    expect(upstream.inFlight).toBe(1);
    await until(() => upstream.inFlight === 0, 'answered');
    expect([sink.outcomes, events.noises.length]).toEqual([0, 0]);
  });
});

describe('StdioUpstream: limits', () => {
  it('times a request out, tells the child, and lets progress extend the deadline', async () => {
    const { upstream } = open({}, { timeoutMs: 400 });
    await ready(upstream);
    const lively = ask(upstream, call('progress', { steps: 10, everyMs: 100, _meta: { progressToken: 1 } }));
    const { refusal, detail } = await ask(upstream, call('hang', {}, 'h'));
    expect([refusal, detail]).toEqual([UPSTREAM_TIMEOUT, expect.stringContaining('idle')]);
    expect((await lively).reply?.result).toEqual({ steps: 10 });
    const received = (await resultOf(upstream, call('received'))) as { method: string }[];
    expect(received.filter(({ method }) => method === 'notifications/cancelled')).toHaveLength(1);
  });

  it('ends a request that only makes progress at its hard deadline', async () => {
    const { upstream } = open({}, { timeoutMs: 400, timeoutMaxMs: 900 });
    await ready(upstream);
    const { refusal, detail } = await ask(upstream, call('progress', { steps: 1000, everyMs: 50, _meta: { progressToken: 1 } }));
    expect([refusal, detail]).toEqual([UPSTREAM_TIMEOUT, expect.stringContaining('hard')]);
  });

  it('refuses more requests at once than configured', async () => {
    const { upstream } = open({}, { maxConcurrency: 2 });
    await ready(upstream);
    begin(upstream, call('hang'), new Sink());
    begin(upstream, call('hang'), new Sink());
    expect((await ask(upstream, call('echo'))).refusal).toBe(UPSTREAM_BUSY);
  });

  it('refuses what a child that stopped reading would never take', async () => {
    const { upstream } = open();
    await ready(upstream);
    await resultOf(upstream, call('deaf'));
    const text = 'x'.repeat(512 * 1024);
    const outcomes = Array.from({ length: 20 }, () =>
      upstream.request(call('echo', { text }), { restPath: '', principalKey: 'p' }, new Sink()),
    );
    expect(outcomes.at(-1)).toBe(UPSTREAM_BUSY);
    expect(upstream.inFlight).toBeLessThan(20);
  });

  it('kills a child whose line is over the limit without keeping it, and serves the next', async () => {
    const { upstream, events } = open({ maxLineBytes: 100_000 });
    await ready(upstream);
    expect(await resultOf(upstream, call('huge', { bytes: 90_000 }))).toHaveLength(90_000);
    expect((await ask(upstream, call('endless'))).refusal).toBe(UPSTREAM_FAILED);
    expect(events.count('oversize')).toBe(1);
    await ready(upstream);
    expect(await resultOf(upstream, call('echo', { again: 1 }))).toEqual({ again: 1 });
  });
});

describe('StdioUpstream: death and restart', () => {
  it('answers every caller of a killed child at once and serves the next request soon', async () => {
    const { upstream, events } = open();
    await ready(upstream);
    const pending = [ask(upstream, call('hang')), ask(upstream, call('hang')), ask(upstream, call('hang'))];
    process.kill(upstream.pids[0] ?? 0, 'SIGKILL');
    expect((await Promise.all(pending)).map(({ refusal }) => refusal)).toEqual([UPSTREAM_FAILED, UPSTREAM_FAILED, UPSTREAM_FAILED]);
    expect(upstream.detail).toContain('SIGKILL');
    expect(await resultOf(upstream, call('echo', { again: 1 }))).toEqual({ again: 1 });
    expect(events.restarts).toEqual([1]);
    expect(events.states).toEqual(['ready', 'down', 'ready']);
  });

  it('says how a crashed child ended and starts another', async () => {
    const { upstream } = open();
    const before = await resultOf(upstream, call('pid'));
    expect(await ask(upstream, call('crash'))).toMatchObject({ refusal: UPSTREAM_FAILED, detail: 'exited with code 3' });
    expect(await resultOf(upstream, call('pid'))).not.toBe(before);
  });

  it('waits longer and longer for a child that always dies, and refuses meanwhile', async () => {
    const { upstream, events } = open(fixture({ exitCode: 7 }));
    // Nothing of it was sent, so it may be tried again: not the refusal of a request that failed half-way.
    expect(await ask(upstream, call('echo'))).toMatchObject({ refusal: UPSTREAM_DOWN, detail: 'exited with code 7' });
    await until(() => events.restarts.length >= 3, 'three restarts');
    expect(events.states).not.toContain('ready');
    expect(upstream.detail).toContain('code 7');
    await until(() => upstream.pids.length === 0 && events.restarts.length >= 4, 'a long pause');
    expect((await ask(upstream, call('echo'))).refusal).toBe(UPSTREAM_DOWN);
  });

  it('takes grandchildren of a dead child with it', async () => {
    const { upstream } = open();
    const grandchild = (await resultOf(upstream, call('fork', {}))) as number;
    expect(isAlive(grandchild)).toBe(true);
    await ask(upstream, call('crash'));
    await until(() => !isAlive(grandchild), 'the grandchild ends');
    expect(isAlive(grandchild)).toBe(false);
  });
});

describe('StdioUpstream: close', () => {
  it('ends the whole tree, also what ignores SIGTERM and the end of its input', async () => {
    const { upstream } = open(fixture({ stubborn: true }));
    const child = (await resultOf(upstream, call('pid'))) as number;
    const grandchild = (await resultOf(upstream, call('fork', { stubborn: true }))) as number;
    expect([isAlive(child), isAlive(grandchild)]).toEqual([true, true]);
    await upstream.close();
    await until(() => !isAlive(child) && !isAlive(grandchild), 'the tree ends');
    expect([upstream.state, upstream.pids]).toEqual(['closed', []]);
  });

  it('tells the callers, refuses new ones, and may be called twice', async () => {
    const { upstream } = open();
    await ready(upstream);
    const pending = ask(upstream, call('hang'));
    await Promise.all([upstream.close(), upstream.close()]);
    expect((await pending).refusal).toBe(UPSTREAM_DOWN);
    expect((await ask(upstream, call('echo'))).refusal).toBe(UPSTREAM_DOWN);
    expect(upstream.notify(envelope({ jsonrpc: '2.0', method: 'notifications/x' }), { restPath: '', principalKey: 'p' })).toBe(
      UPSTREAM_DOWN,
    );
  });

  it('works while the child is starting, after a failed start, and before any start', async () => {
    const starting = open(fixture({ silent: true })).upstream;
    const failed = open({ command: join(tmpdir(), 'missing') }).upstream;
    const settings = stdioSettings();
    const fresh = new StdioUpstream(settings, settings.stdio, deps());
    const pid = starting.pids[0] ?? 0;
    await Promise.all([starting.close(), failed.close(), fresh.close()]);
    fresh.start();
    expect([starting.state, failed.state, fresh.state, isAlive(pid), fresh.pids]).toEqual(['closed', 'closed', 'closed', false, []]);
  });
});
