import { beforeAll, describe, expect, it } from 'vitest';
import { keyEntry, makeKey, rpc, startGateway, startHttpUpstream, toolCall, type Gateway, type HttpAnswer } from './harness.ts';
import type { HttpUpstream, UpstreamAnswer, UpstreamRequest } from './http-upstream.ts';

const alice = makeKey();
const bob = makeKey();
const STREAM = { 'content-type': 'text/event-stream' };

/** What the server does with a call, by the tool's name; the rest of its stream is at the position of the same name. */
interface Script {
  readonly post: (id: unknown) => UpstreamAnswer;
  readonly get: (ids: ReadonlyMap<string, unknown>) => UpstreamAnswer;
}

const put = (name: string): UpstreamAnswer => ({ headers: STREAM, body: `id: ${name}\nretry: 60\ndata: \n\n` });
const LOG = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'begun' } });
const reply = (id: unknown, text: string): string =>
  `id: end\ndata: ${JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }] } })}\n\n`;
const answerOf = (name: string, ids: ReadonlyMap<string, unknown>): UpstreamAnswer => ({
  headers: STREAM,
  body: reply(ids.get(name), name),
});

let conflicts = 0;

const SCRIPTS: Readonly<Record<string, Script>> = {
  closed: { post: () => put('closed'), get: (ids) => answerOf('closed', ids) },
  broken: {
    post: () => ({ events: [`${LOG}\nid: broken\nretry: 60`, LOG], gapMs: 80, isDropped: true }),
    get: (ids) => answerOf('broken', ids),
  },
  refused: { post: () => put('refused'), get: () => ({ status: 405, body: '' }) },
  unknown: { post: () => put('unknown'), get: () => ({ status: 404, body: '' }) },
  json: { post: () => put('json'), get: (ids) => ({ body: { jsonrpc: '2.0', id: ids.get('json'), result: {} } }) },
  // It has not noticed that the other connection is gone, and does not end that answer.
  conflict: {
    post: () => put('conflict'),
    get: (ids) =>
      conflicts++ === 0 ? { status: 409, events: ['wait'], isKeptOpen: true } : { ...answerOf('conflict', ids), delayMs: 1500 },
  },
  silent: { post: () => ({ headers: STREAM, body: ': no position\n\n' }), get: () => ({ status: 400, body: '' }) },
  // The rest of this stream holds what belongs to another call.
  foreign: {
    post: () => put('foreign'),
    get: (ids) => ({ headers: STREAM, body: reply(ids.get('victim'), 'for somebody else') + reply(ids.get('foreign'), 'foreign') }),
  },
  victim: {
    post: (id) => ({ delayMs: 700, body: { jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: 'of the victim' }] } } }),
    get: () => ({ status: 400, body: '' }),
  },
};

let upstream: HttpUpstream;
let gateway: Gateway;

beforeAll(async () => {
  const ids = new Map<string, unknown>();
  const answer = ({ method, headers, message }: UpstreamRequest): UpstreamAnswer | undefined => {
    const at = headers['last-event-id'];
    if (method === 'GET' && typeof at === 'string') return SCRIPTS[at]?.get(ids);
    const name = (message['params'] as { name?: string } | undefined)?.name ?? '';
    if (message['method'] !== 'tools/call' || SCRIPTS[name] === undefined) return undefined;
    ids.set(name, message['id']);
    return SCRIPTS[name].post(message['id']);
  };
  upstream = await startHttpUpstream({ answer });
  gateway = await startGateway({
    config: {
      server: { workers: 1 },
      auth: { api_keys: [keyEntry('alice', alice), keyEntry('bob', bob)] },
      rate_limit: { enabled: false },
      upstream: { transport: 'http', url: upstream.url, allow_private_networks: true, timeout_secs: 5, timeout_max_secs: 5 },
    },
  });
});

async function call(name: string, key = alice.key): Promise<HttpAnswer> {
  return await rpc(gateway.mcp, toolCall(name, {}, `id of ${name}`), { key });
}

/** POSTs of this call that the server has seen. */
const posts = (name: string): number => upstream.of('tools/call').filter(({ body }) => body.includes(`"${name}"`)).length;

describe('a server over HTTP without sessions that closes the stream of a call before its answer', () => {
  it('is asked for the rest where it gave a position, and its client sees one stream without the positions', async () => {
    const answer = await call('closed');
    expect([answer.status, posts('closed')]).toEqual([200, 1]);
    expect(answer.events).toMatchObject([{ id: 'id of closed', result: { content: [{ text: 'closed' }] } }]);
    expect(answer.body).not.toMatch(/^(id|retry):/m);
  });

  it('is asked for it as well when the connection broke, and the call is not made twice', async () => {
    const answer = await call('broken');
    const methods = answer.events.map((event) => String(event['method'] ?? event['id']));
    expect(methods.at(-1)).toBe('id of broken');
    expect(methods.filter((method) => method === 'notifications/message').length).toBeGreaterThanOrEqual(1);
    expect(posts('broken')).toBe(1);
  });

  it('is asked again after a conflict, of which no more is read meanwhile', async () => {
    const answer = await call('conflict');
    expect([answer.events, posts('conflict')]).toMatchObject([[{ id: 'id of conflict', result: { content: [{ text: 'conflict' }] } }], 1]);
  });

  it('is not sent the call again, whatever it says to that', async () => {
    for (const name of ['refused', 'unknown', 'json']) {
      const answer = await call(name);
      expect([name, answer.body.includes('"error"'), answer.body.includes('"result"'), posts(name)]).toEqual([name, true, false, 1]);
    }
  });

  it('is not asked for anything where it gave no position', async () => {
    const before = upstream.requests.filter(({ method }) => method === 'GET').length;
    expect((await call('silent')).body).toContain('"error"');
    expect(upstream.requests.filter(({ method }) => method === 'GET').length).toBe(before);
  });

  it('cannot answer another caller’s call in the rest', async () => {
    const [victim, foreign] = await Promise.all([call('victim', bob.key), call('foreign')]);
    expect(victim.json['result']).toMatchObject({ content: [{ text: 'of the victim' }] });
    expect(foreign.events).toMatchObject([{ id: 'id of foreign', result: { content: [{ text: 'foreign' }] } }]);
    expect(foreign.body).not.toContain('somebody else');
  });
});
