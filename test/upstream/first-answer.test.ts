import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { Access } from '../../src/core/access.ts';
import type { InFlight, Upstream } from '../../src/core/upstream.ts';
import { compileSelection } from '../../src/policy/selection.ts';
import { buildUpstream } from '../../src/upstream/build.ts';
import { VirtualUpstream } from '../../src/upstream/virtual.ts';
import { FakeClock } from './fake-clock.ts';
import { json, McpHttpServer, reply } from './http-server.ts';
import { call, deps, envelope, httpSettings, isRefusal, ready, Sink, until } from './support.ts';

/** Nobody else has its sessions, and nothing of them is kept. */
const ALONE = { kept: null, sessions: null, peers: null, longestMs: 0 };

const NAMES = ['one', 'two', 'three'] as const;
const SILENCE_MS = 10_000;
const opened: Upstream[] = [];
const servers: McpHttpServer[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((upstream) => upstream.close()));
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

const ACCESS: Access = { mayReach: () => true, tool: () => ({ isAllowed: true, rule: '' }), allowsAllTools: () => true };

/** Servers that have been asked and wait to be told what they answer. */
class Members {
  readonly clock = new FakeClock();
  readonly servers: McpHttpServer[] = [];
  readonly upstreams: Upstream[] = [];
  readonly #held: { response: ServerResponse; id: number }[][] = NAMES.map(() => []);
  virtual: VirtualUpstream | null = null;

  async open(): Promise<this> {
    for (const index of NAMES.keys()) await this.#add(index);
    const everything = { tools: null, prompts: null, resources: null };
    const settings = {
      name: 'v',
      isAggregate: false,
      path: '/v',
      separator: '.',
      servers: NAMES,
      listTimeoutMs: SILENCE_MS,
      ...everything,
    };
    this.virtual = new VirtualUpstream(settings, this.upstreams, {
      ...deps(),
      clock: this.clock,
      selection: compileSelection(settings),
      ...ALONE,
    });
    return this;
  }

  read(sink: Sink, id: string | number = 1, principalKey = 'api_key:a'): InFlight {
    const flight = this.virtual?.request(
      call('resources/read', { uri: 'x://y' }, id),
      { restPath: '', principalKey, access: ACCESS },
      sink,
    );
    if (flight === undefined || isRefusal(flight)) throw new Error('refused');
    return flight;
  }

  cancel(requestId: string | number, principalKey = 'api_key:a'): void {
    this.virtual?.notify(envelope({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } }), {
      restPath: '',
      principalKey,
    });
  }

  async asked(index: number, count = 1): Promise<void> {
    await until(() => this.askedOf(index) >= count, `${NAMES[index]} is asked`);
  }

  askedOf(index: number): number {
    return this.servers[index]?.calls('resources/read').length ?? 0;
  }

  gives(index: number): void {
    const { response, id } = this.#next(index);
    reply(response, id, { contents: [{ uri: 'x://y', text: NAMES[index] }] });
  }

  hasNone(index: number): void {
    const { response, id } = this.#next(index);
    json(response, JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32002, message: 'none' } }));
  }

  /** Requests that members work on. */
  get inFlight(): number[] {
    return this.upstreams.map(({ inFlight }) => inFlight);
  }

  #next(index: number): { response: ServerResponse; id: number } {
    const held = this.#held[index]?.shift();
    if (held === undefined) throw new Error('nobody asked');
    return held;
  }

  async #add(index: number): Promise<void> {
    const read = (response: ServerResponse, { id }: { id: number }): void => void this.#held[index]?.push({ response, id });
    const server = await new McpHttpServer({ capabilities: { resources: {} }, handlers: { 'resources/read': read } }).listen();
    servers.push(server);
    this.servers.push(server);
    const upstream = buildUpstream({ ...httpSettings(server.url), name: NAMES[index] ?? '' }, deps());
    opened.push(upstream);
    this.upstreams.push(upstream);
    upstream.start();
    await ready(upstream);
  }
}

const textOf = (sink: Sink): Promise<unknown> =>
  sink.outcome.then(
    ({ reply: answer }) => (answer?.result as { contents: { text: string }[] } | undefined)?.contents[0]?.text ?? answer?.error,
  );

describe('what any member may answer', () => {
  it('asks the next member while one says nothing, and takes the request back from who was too slow', async () => {
    const members = await new Members().open();
    const sink = new Sink();
    members.read(sink);
    await members.asked(0);
    members.clock.advance(SILENCE_MS - 1);
    expect(members.askedOf(1)).toBe(0);
    members.clock.advance(1);
    await members.asked(1);
    members.gives(1);
    expect(await textOf(sink)).toBe('two');
    await until(() => (members.servers[0]?.calls('notifications/cancelled').length ?? 0) === 1, 'the first is told');
    expect([members.inFlight, members.virtual?.inFlight, members.clock.timers]).toEqual([[0, 0, 0], 0, 0]);
    expect(members.askedOf(2)).toBe(0);
  });

  it('takes the answer of the slow one when it comes first after all', async () => {
    const members = await new Members().open();
    const sink = new Sink();
    members.read(sink);
    await members.asked(0);
    members.clock.advance(SILENCE_MS);
    await members.asked(1);
    members.clock.advance(SILENCE_MS);
    await members.asked(2);
    members.hasNone(2);
    members.hasNone(1);
    await until(() => members.inFlight.join() === '1,0,0', 'both have none');
    expect(sink.outcomes).toBe(0);
    members.gives(0);
    expect(await textOf(sink)).toBe('one');
  });

  it('asks the next one at once when one has none, and says so when nobody has it', async () => {
    const members = await new Members().open();
    const sink = new Sink();
    members.read(sink);
    for (const index of [0, 1, 2]) {
      await members.asked(index);
      members.hasNone(index);
    }
    expect(await textOf(sink)).toMatchObject({ code: -32002 });
    expect([members.inFlight, members.virtual?.inFlight, members.clock.timers]).toEqual([[0, 0, 0], 0, 0]);
  });

  it('is taken back from all who were asked, by nobody but its caller, and not when two have its id', async () => {
    const members = await new Members().open();
    const sink = new Sink();
    members.read(sink, 'mine');
    await members.asked(0);
    members.clock.advance(SILENCE_MS);
    await members.asked(1);
    members.cancel('mine', 'api_key:other');
    expect(members.inFlight).toEqual([1, 1, 0]);
    members.cancel('mine');
    expect((await sink.outcome).detail).toBe('cancelled');
    expect(members.inFlight).toEqual([0, 0, 0]);
    const both = [new Sink(), new Sink()];
    for (const each of both) members.read(each, 'same');
    members.cancel('same');
    expect([both.map(({ outcomes }) => outcomes), members.inFlight]).toEqual([
      [0, 0],
      [2, 0, 0],
    ]);
  });

  it('asks nobody else for a client that has left, and says when those who were asked are done', async () => {
    const members = await new Members().open();
    const sink = new Sink();
    const flight = members.read(sink);
    await members.asked(0);
    members.clock.advance(SILENCE_MS);
    await members.asked(1);
    let over = 0;
    flight.detach(() => (over += 1));
    members.clock.advance(SILENCE_MS);
    members.gives(0);
    await until(() => members.inFlight.join() === '0,1,0', 'the first is done');
    expect(over).toBe(0);
    members.gives(1);
    await until(() => over === 1, 'the second is done');
    expect([sink.outcomes, members.askedOf(2), members.virtual?.inFlight]).toEqual([0, 0, 0]);
  });
});
