import { beforeAll, describe, expect, it } from 'vitest';
import { keyEntry, makeKey, startGateway, waitUntil, type Gateway } from './harness.ts';
import { sdkServerOverHttp, sdkServerOverStdio } from './peer-servers.ts';
import { CLIENTS, connectV1, connectV2Auto, type HttpTarget, type Peer, type Target } from './peers.ts';

const key = makeKey();
const other = makeKey();

/** Fewer than the calls that one test takes back. */
const MAX_IN_FLIGHT = 8;

interface Place {
  readonly direct: Target;
  readonly gateway: Gateway;
  readonly via: HttpTarget;
}

async function place(direct: Target, upstream: Readonly<Record<string, unknown>>, server: object = {}): Promise<Place> {
  const keys = [keyEntry('peer', key), keyEntry('other', other)].map((entry) => ({ ...entry, rate_limit: 10_000, burst: 10_000 }));
  const gateway = await startGateway({
    config: { server, auth: { api_keys: keys }, rate_limit: { max_in_flight: MAX_IN_FLIGHT }, upstream },
  });
  return { direct, gateway, via: { url: gateway.mcp, key: key.key } };
}

async function httpPlace(mode: 'http' | 'sessions', server: object = {}): Promise<Place> {
  const url = await sdkServerOverHttp(mode);
  return await place({ url }, { transport: 'http', url, allow_private_networks: true }, server);
}

interface Where {
  readonly where: string;
  /** What becomes of questions of the server: one without sessions has nobody whose answer could reach it. */
  readonly answer: 'refused: -32601' | 'no answer';
  /** Log messages of a call that reach its caller, of the three that it sends. */
  readonly logs: number;
  /** What a client that would rather have the newest revision agrees on. */
  readonly newest: string;
  start(): Promise<Place>;
}

const PLACES: readonly Where[] = [
  {
    where: 'over stdio',
    answer: 'refused: -32601',
    newest: '2026-07-28',
    logs: 0,
    start: async () => await place(sdkServerOverStdio(), { ...sdkServerOverStdio() }),
  },
  {
    where: 'over stdio, behind the engine of Node',
    answer: 'refused: -32601',
    newest: '2026-07-28',
    logs: 0,
    start: async () => await place(sdkServerOverStdio(), { ...sdkServerOverStdio() }, { engine: 'node' }),
  },
  { where: 'over HTTP, without sessions', answer: 'no answer', newest: '2026-07-28', logs: 3, start: async () => await httpPlace('http') },
  {
    where: 'over HTTP, with sessions',
    answer: 'refused: -32601',
    newest: '2025-11-25',
    logs: 3,
    start: async () => await httpPlace('sessions'),
  },
  {
    where: 'over HTTP+SSE',
    answer: 'refused: -32601',
    newest: '2025-11-25',
    // As with stdio: all callers share the stream, and a log message does not say whom it concerns.
    logs: 0,
    start: async () => {
      const url = await sdkServerOverHttp('sse');
      return await place(sdkServerOverStdio(), { transport: 'sse', url, allow_private_networks: true });
    },
  },
];

async function text(peer: Peer, name: string, args: Record<string, unknown> = {}): Promise<string> {
  const result = (await peer.callTool({ name, arguments: args })) as { content: [{ text: string }] };
  return result.content[0].text;
}

async function errorOf(work: Promise<unknown>): Promise<object> {
  const error = (await work.then(
    () => new Error('no failure'),
    (reason: unknown) => reason,
  )) as Error & { code?: number; data?: unknown };
  return { message: error.message, code: error.code, data: error.data };
}

async function allTools(peer: Peer): Promise<readonly object[]> {
  const pages: object[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await peer.client.listTools(cursor === undefined ? {} : { cursor });
    pages.push(page);
    cursor = page.nextCursor;
    if (cursor === undefined) return pages;
  }
}

/** What both eras of the server answer alike. */
async function survey(peer: Peer): Promise<object> {
  return {
    version: peer.client.getServerVersion(),
    instructions: peer.client.getInstructions(),
    tools: (await allTools(peer)).flatMap((page) => (page as { tools: object[] }).tools),
    results: await Promise.all([
      peer.callTool({ name: 'add', arguments: { a: 1, b: 2 } }),
      peer.callTool({ name: 'fail' }),
      peer.callTool({ name: 'mixed' }),
    ]).then((results) =>
      results.map(({ content, structuredContent, isError, _meta }) => [content, structuredContent, isError, own(_meta)]),
    ),
    failure: await errorOf(peer.callTool({ name: 'throw' })),
    unknown: await errorOf(peer.callTool({ name: 'none' })),
  };
}

/** Without what the revision of 2026 adds. */
function own(meta: unknown): object {
  const entries = Object.entries(meta ?? {}).filter(([name]) => !name.startsWith('io.modelcontextprotocol/'));
  return Object.fromEntries(entries);
}

describe.each(PLACES)('a server made with SDK 2 $where', ({ where, start, answer, logs, newest }) => {
  let direct: Target;
  let gateway: Gateway;
  let via: HttpTarget;

  beforeAll(async () => {
    ({ direct, gateway, via } = await start());
  });

  it.each(CLIENTS)('answers %s through the gateway as it does directly', async (_name, connect) => {
    const [one, another] = [await connect(direct), await connect(via)];
    expect(await survey(another)).toEqual(await survey(one));
    expect(another.errors).toEqual([]);
  });

  it('is spoken to in the newest revision that it knows, by a client that asks for that', async () => {
    expect((await connectV2Auto(via)).revision).toBe(newest);
  });

  it('keeps its pages', async () => {
    expect(await allTools(await connectV1(via))).toMatchObject([{ nextCursor: '4' }, { nextCursor: '8' }, { tools: { length: 3 } }]);
  });

  it.each(CLIENTS)('reports progress to %s, step by step', async (_name, connect) => {
    const peer = await connect(via);
    const progress: unknown[] = [];
    const result = await peer.callTool(
      { name: 'steps', arguments: { count: 5, gapMs: 20, mark: 'here' } },
      { onprogress: (step) => void progress.push(step) },
    );
    expect(result['content']).toEqual([{ type: 'text', text: '5 steps, here' }]);
    expect(progress).toEqual([1, 2, 3, 4, 5].map((step) => ({ progress: step, total: 5, message: `step ${step}` })));
    expect(peer.errors).toEqual([]);
  });

  it('gets what the client sent beside the arguments, and nothing of its credential', async () => {
    const peer = await connectV1(via);
    const seen = JSON.parse(
      (
        (await peer.callTool({ name: 'request', arguments: { n: 1.5, deep: [{ a: null }] }, _meta: { 'example.com/x': [1, '2'] } })) as {
          content: [{ text: string }];
        }
      ).content[0].text,
    ) as { meta: unknown; headers: Record<string, string>; arguments: unknown };
    expect(seen.meta).toEqual({ 'example.com/x': [1, '2'] });
    expect(seen.arguments).toEqual({ n: 1.5, deep: [{ a: null }] });
    expect(seen.headers['authorization']).toBeUndefined();
    expect(JSON.stringify(seen)).not.toContain(key.key);
  });

  it('has the log messages of a call relayed when they stand in its own stream, and to nobody else', async () => {
    const [peer, idle] = [await connectV1(via), await connectV1(via)];
    await text(peer, 'steps', { count: 3 });
    const sent = [1, 2, 3].map((step) => ({
      method: 'notifications/message',
      params: { level: 'error', data: { step }, logger: 'steps' },
    }));
    expect(peer.logs).toMatchObject(sent.slice(0, logs));
    expect([peer.logs.length, idle.logs.length]).toEqual([logs, 0]);
  });

  it('asks the client in vain: the gateway answers that there is no such method, where it can', async () => {
    const peer = await connectV1(via, { capabilities: { roots: { listChanged: true } } });
    expect(await text(peer, 'ask')).toBe(answer);
    expect([peer.errors, peer.logs]).toEqual([[], []]);
  });

  it.each(CLIENTS)('sends %s results of megabytes, while it serves others', async (_name, connect) => {
    const [peer, quick] = [await connect(via), await connect({ ...via, key: other.key })];
    const chars = 3_000_000;
    const big = Promise.all([text(peer, 'big', { chars }), text(peer, 'big', { chars: chars + 1 })]);
    expect(await quick.callTool({ name: 'add', arguments: { a: 2, b: 2 } })).toMatchObject({ structuredContent: { sum: 4 } });
    expect((await big).map((all) => all.length)).toEqual([chars, chars + 1]);
  });

  it.each(CLIENTS)('takes arguments of half a megabyte from %s', async (_name, connect) => {
    const value = '😀"\\\n'.repeat(60_000);
    const seen = JSON.parse(await text(await connect(via), 'request', { value })) as { arguments: unknown };
    expect(seen.arguments).toEqual({ value });
  });

  it.each(CLIENTS)('lets %s take a call back at once: no error comes later, its place is free', async (client, connect) => {
    // Over stdio each era has a process of its own.
    const [peer, helper] = [await connect(via), await connect({ ...via, key: other.key })];
    const quit = new AbortController();
    const mark = `${where}, ${client}`;
    const before = await calls(gateway, 'wait');
    const called = errorOf(peer.callTool({ name: 'wait', arguments: { ms: 20_000, mark } }, { signal: quit.signal }));
    await waitUntil(async () => (await calls(gateway, 'wait')) > before, { what: 'the call' });
    quit.abort(new Error('enough'));
    expect(await called).toMatchObject({ message: expect.stringContaining('enough') as string });
    const record = await waitUntil(async () => (await gateway.auditLines()).findLast(({ status }) => status === 499), { what: 'a record' });
    expect(record).toMatchObject({
      event_type: 'tool_response',
      tool: 'wait',
      reason: 'client_gone',
      detail: 'cancelled',
      identity: 'peer',
    });
    expect(await text(peer, 'add', { a: 1, b: 1 })).toBe('a sum');
    expect(peer.errors).toEqual([]);
    await waitUntil(async () => (await aborted(helper)).includes(mark), { what: 'the server to know' });
  });

  it('counts no call that was taken back among those that a caller may have at once', async () => {
    const peer = await connectV1(via);
    for (let round = 0; round < 2 * MAX_IN_FLIGHT; round++) {
      const quit = new AbortController();
      const before = await calls(gateway, 'wait');
      const called = errorOf(peer.callTool({ name: 'wait', arguments: { ms: 20_000 } }, { signal: quit.signal }));
      await waitUntil(async () => (await calls(gateway, 'wait')) > before, { what: 'the call' });
      quit.abort(new Error('enough'));
      expect(await called).toMatchObject({ message: expect.stringContaining('enough') as string });
    }
    expect(await text(peer, 'add', { a: 1, b: 1 })).toBe('a sum');
    expect(peer.errors).toEqual([]);
  });

  it('does not notice that a client left in the middle of a call, nor do other clients', async () => {
    const [leaving, staying] = [await connectV1(via), await connectV1(via)];
    const before = await calls(gateway, 'wait');
    const lost = errorOf(leaving.callTool({ name: 'wait', arguments: { ms: 300, mark: `left ${where}` } }));
    const kept = text(staying, 'wait', { ms: 350, mark: 'stayed' });
    await waitUntil(async () => (await calls(gateway, 'wait')) === before + 2, { what: 'both calls to be recorded' });
    await leaving.client.close();
    expect(await lost).toMatchObject({ message: expect.stringContaining('closed') as string });
    expect(await kept).toBe('waited for stayed');
    expect(await text(staying, 'add', { a: 1, b: 1 })).toBe('a sum');
    const gone = await waitUntil(
      async () => (await gateway.auditLines()).find(({ status, detail }) => status === 499 && detail !== 'cancelled'),
      { what: 'a record of it' },
    );
    expect(gone).toMatchObject({ event_type: 'tool_response', tool: 'wait', reason: 'client_gone', identity: 'peer' });
    expect(await aborted(staying)).not.toContain(`left ${where}`);
  });
});

async function aborted(peer: Peer): Promise<unknown[]> {
  return JSON.parse(await text(peer, 'aborted')) as unknown[];
}

async function calls(gateway: Gateway, tool: string): Promise<number> {
  return (await gateway.auditLines()).filter((line) => line['event_type'] === 'tool_call' && line['tool'] === tool).length;
}
