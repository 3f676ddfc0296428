import type { ServerResponse } from 'node:http';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { Access } from '../../src/core/access.ts';
import type { Upstream } from '../../src/core/upstream.ts';
import { MAX_ITEMS } from '../../src/mcp/list-page.ts';
import { encodeCursor } from '../../src/mcp/merged-cursor.ts';
import { compileSelection } from '../../src/policy/selection.ts';
import { buildUpstream } from '../../src/upstream/build.ts';
import { VirtualUpstream } from '../../src/upstream/virtual.ts';
import { McpHttpServer, reply } from './http-server.ts';
import { call, deps, envelope, httpSettings, isRefusal, ready, RecordedEvents, Sink, until } from './support.ts';

/** Nobody else has its sessions, and nothing of them is kept. */
const ALONE = { kept: null, sessions: null, peers: null, longestMs: 0 };

const NAMES = ['one', 'two', 'three'] as const;
const opened: Upstream[] = [];
const servers: McpHttpServer[] = [];

afterEach(async () => {
  silent = [];
  endless = null;
  await Promise.all(opened.splice(0).map((upstream) => upstream.close()));
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

/** A member's pages, each a list of names; null: it answers with an error. */
type Pages = readonly (readonly string[])[] | null;

/** Everybody may do everything, but for tools that begin so. */
const ACCESS: Access = {
  mayReach: () => true,
  tool: (_server, tool) => ({ isAllowed: !tool.startsWith('hidden'), rule: '' }),
  allowsAllTools: () => false,
};

let pages: readonly Pages[] = [];
/** Members that do not answer. */
let silent: readonly number[] = [];
/** The next page of the first member, whatever page it is. */
let endless: ((at: number) => string) | null = null;

async function open(): Promise<{ readonly virtual: VirtualUpstream; readonly events: RecordedEvents }> {
  const members = await Promise.all(
    NAMES.map(async (name, index) => {
      const list = (response: ServerResponse, { id, params }: { id: number; params: Record<string, unknown> }): void => {
        const own = pages[index] ?? null;
        const at = Number(params['cursor'] ?? 0);
        if (silent.includes(index)) return;
        if (own === null)
          return void response
            .writeHead(200, { 'content-type': 'application/json' })
            .end(`{"jsonrpc":"2.0","id":${id},"error":{"code":-32000,"message":"no"}}`);
        reply(response, id, {
          tools: (own[at] ?? []).map((tool) => ({ name: tool })),
          ...(at + 1 < own.length && { nextCursor: String(at + 1) }),
          ...(index === 0 && endless !== null && { nextCursor: endless(at) }),
        });
      };
      const server = await new McpHttpServer({ handlers: { 'tools/list': list } }).listen();
      servers.push(server);
      const upstream = buildUpstream({ ...httpSettings(server.url), name }, deps());
      opened.push(upstream);
      upstream.start();
      await ready(upstream);
      return upstream;
    }),
  );
  const events = new RecordedEvents();
  const everything = { tools: null, prompts: null, resources: null };
  const settings = { name: 'v', isAggregate: false, path: '/v', separator: '.', servers: NAMES, listTimeoutMs: 20_000, ...everything };
  const virtual = new VirtualUpstream(settings, members, { ...deps(events), selection: compileSelection(settings), ...ALONE });
  return { virtual, events };
}

/** All pages of the whole. */
async function walk(
  virtual: VirtualUpstream,
  from?: string,
): Promise<{ readonly names: string[]; readonly pageCount: number; readonly isRefused: boolean }> {
  const names: string[] = [];
  for (let cursor = from, pageCount = 1; ; pageCount++) {
    const sink = new Sink();
    const flight = virtual.request(
      call('tools/list', cursor === undefined ? {} : { cursor }),
      { restPath: '', principalKey: 'api_key:a', access: ACCESS },
      sink,
    );
    if (isRefusal(flight)) throw new Error(flight.code);
    const outcome = await sink.outcome;
    const result = outcome.reply?.result as { tools: { name: string }[]; nextCursor?: string } | undefined;
    if (result === undefined) return { names, pageCount, isRefused: true };
    names.push(...result.tools.map(({ name }) => name));
    cursor = result.nextCursor;
    if (cursor === undefined) return { names, pageCount, isRefused: false };
  }
}

const name = fc.oneof(fc.constantFrom('a', 'b.c', 'hidden', 'ü"\\ '), fc.string({ minLength: 1, maxLength: 8 }));
const page = fc.uniqueArray(name, { maxLength: 4 });
const member = fc.option(fc.array(page, { minLength: 1, maxLength: 3 }), { freq: 5 });

describe('a merged list', () => {
  it('row 235: has everything of every member that answers once, in their order and then its own, over any number of pages', async () => {
    const { virtual } = await open();
    await fc.assert(
      fc.asyncProperty(fc.tuple(member, member, member), async (drawn) => {
        // A name that a member lists twice stands once on a page; here each stands once altogether.
        pages = drawn.map((own) => own?.map((one, at) => one.map((tool) => `${tool}${at}`)) ?? null);
        const { names, pageCount, isRefused } = await walk(virtual);
        const expected = pages.flatMap((own, index) =>
          (own ?? [])
            .flat()
            .filter((tool) => !tool.startsWith('hidden'))
            .map((tool) => `${NAMES[index]}.${tool}`),
        );
        expect(isRefused).toBe(pages.every((own) => own === null));
        expect(names).toEqual(expected);
        expect(pageCount).toBe(1 + pages.reduce((sum, own) => sum + (own?.length ?? 1) - 1, 0));
      }),
      { numRuns: 60 },
    );
  });

  it('shows a name that a member lists twice once, and says so', async () => {
    const { virtual, events } = await open();
    pages = [[['a', 'a']], [['a']], null];
    expect((await walk(virtual)).names).toEqual(['one.a', 'two.a']);
    expect(events.leftOuts).toEqual([
      ['v', 'one', 'duplicate', 'a'],
      ['v', 'three', 'unavailable', 'answered with error -32000'],
    ]);
  });

  it('tells once of a page with many unfit names, and keeps none of their endless text', async () => {
    const { virtual, events } = await open();
    pages = [[Array.from({ length: 500 }, (_, at) => `${at}${'x'.repeat(1000)}`)], [['a']], [['b']]];
    expect((await walk(virtual)).names).toEqual(['two.a', 'three.b']);
    expect(events.leftOuts).toEqual([['v', 'one', 'name_too_long', `0${'x'.repeat(127)}`]]);
  });

  it('leaves out a member with more elements on a page than anybody needs', async () => {
    const { virtual, events } = await open();
    pages = [[Array.from({ length: MAX_ITEMS + 1 }, (_, at) => `t${at}`)], [['a']], [['b']]];
    expect((await walk(virtual)).names).toEqual(['two.a', 'three.b']);
    expect(events.leftOuts).toEqual([['v', 'one', 'invalid', 'answered with something that is no list']]);
  });

  it('goes on to the next member when one has pages without end, or leads to where it was', async () => {
    const { virtual, events } = await open();
    pages = [[['a']], [['b'], ['c']], [['d']]];
    endless = (at) => String(at + 1);
    const { names, pageCount } = await walk(virtual, encodeCursor({ member: 'one', cursor: '990', pages: 990 }) ?? '');
    expect([names, pageCount]).toEqual([['two.b', 'two.c', 'three.d'], 11]);
    endless = () => '5';
    const again = await walk(virtual);
    expect([again.names, again.pageCount]).toEqual([['one.a', 'two.b', 'two.c', 'three.d'], 3]);
    expect(events.leftOuts).toEqual([
      ['v', 'one', 'too_large', 'pages'],
      ['v', 'one', 'too_large', 'pages'],
    ]);
  });

  it('ends behind the last member, be its own pages without end', async () => {
    const { virtual } = await open();
    pages = [[['a']], null, null];
    endless = () => '5';
    const options = { restPath: '', principalKey: 'api_key:a', access: { ...ACCESS, mayReach: (server: string) => server === 'one' } };
    const sink = new Sink();
    const cursor = encodeCursor({ member: 'one', cursor: '5', pages: 1 }) ?? '';
    virtual.request(call('tools/list', { cursor }), options, sink);
    expect((await sink.outcome).reply?.result).not.toHaveProperty('nextCursor');
  });

  it('takes its requests back from members that have not answered, when its client does', async () => {
    const { virtual } = await open();
    pages = [[['a']], null, null];
    silent = [1, 2];
    const inFlight = (): number => opened.reduce((sum, upstream) => sum + upstream.inFlight, 0);
    const told = (): number => servers.reduce((sum, server) => sum + server.calls('notifications/cancelled').length, 0);
    const options = { restPath: '', principalKey: 'api_key:a', access: ACCESS };
    const cancel = envelope({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } });
    for (let round = 1; round <= 3; round++) {
      const sink = new Sink();
      virtual.request(call('tools/list', {}), options, sink);
      await until(() => inFlight() === 2, 'two members work on it');
      virtual.notify(cancel, options);
      expect([inFlight(), sink.outcomes]).toEqual([0, 1]);
      await until(() => told() === 2 * round, 'both are told');
    }
  });
});
