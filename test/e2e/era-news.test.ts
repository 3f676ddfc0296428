import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { keyEntry, makeKey, rpc, rpcStream, startGateway, startHttpUpstream, waitUntil } from './harness.ts';
import type { Gateway, RpcStream, TestKey, UpstreamAnswer, UpstreamRequest } from './harness.ts';
import { modernHeaders, modernRequest } from './modern.ts';
import { startSessionUpstream, type SessionUpstream } from './session-upstream.ts';

const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId';
const alice = makeKey();
const bob = makeKey();
const streams: RpcStream[] = [];
afterAll(() => {
  for (const stream of streams) stream.leave();
});

async function inFront(url: string): Promise<Gateway> {
  return await startGateway({
    config: {
      auth: { api_keys: [keyEntry('alice', alice), keyEntry('bob', bob)] },
      rate_limit: { enabled: false },
      upstream: { transport: 'http', url, allow_private_networks: true, modern_clients: 'bridge' },
    },
  });
}

async function subscribe({ mcp }: Gateway, filter: object, who: TestKey = alice, id: string | number = 'mine'): Promise<RpcStream> {
  const message = modernRequest('subscriptions/listen', { notifications: filter }, id);
  const stream = await rpcStream(mcp, message, { key: who.key, headers: modernHeaders('subscriptions/listen') });
  streams.push(stream);
  return stream;
}

const changed = (list: string): object => ({ jsonrpc: '2.0', method: `notifications/${list}/list_changed` });
const updated = (uri: string): object => ({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri } });
const QUESTION = { jsonrpc: '2.0', id: 7, method: 'roots/list' };
const LOG = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'not asked for' } };

/** A server that keeps sessions, and tells all this on the standing stream of each but the gateway's own. */
async function telling(news: readonly object[]): Promise<SessionUpstream> {
  const answer = ({ method, message }: UpstreamRequest): UpstreamAnswer | undefined => {
    if (method === 'GET') return { events: [LOG, ...news], gapMs: 150, isKeptOpen: true };
    if (message['method'] !== 'resources/subscribe') return undefined;
    const isKnown = (message['params'] as { uri: string }).uri !== 'test://unknown';
    const error = { code: -32002, message: 'Resource not found' };
    return { body: { jsonrpc: '2.0', id: message['id'], ...(isKnown ? { result: {} } : { error }) } };
  };
  const capabilities = { tools: { listChanged: true }, prompts: {}, resources: { subscribe: true, listChanged: true } };
  return await startSessionUpstream({ answer, capabilities });
}

describe('a subscription of revision 2026-07-28 at a server of older revisions', () => {
  it('row 230: is told what the server says in a session of its caller, and nothing besides', async () => {
    const upstream = await telling([QUESTION, changed('tools'), changed('resources'), updated('test://other'), updated('test://a')]);
    const gateway = await inFront(upstream.url);
    const filter = { toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: ['test://a', 'test://unknown'] };
    const stream = await subscribe(gateway, filter);
    const events = await stream.awaitEvents(3);
    const _meta = { [SUBSCRIPTION]: 'mine' };
    const notifications = { toolsListChanged: true, resourceSubscriptions: ['test://a'] };
    expect(events).toEqual([
      { jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params: { notifications, _meta } },
      { jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: { _meta } },
      { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'test://a', _meta } },
    ]);
    const refusals = (): readonly UpstreamRequest[] => upstream.requests.filter(({ message }) => message['error'] !== undefined);
    await waitUntil(() => refusals().length === 1, { what: 'the question to be refused' });
    expect(refusals()[0]?.message).toMatchObject({ id: 7, error: { code: -32601 } });
    expect(upstream.sessionsOf('tester')).toHaveLength(1);
    stream.leave();
    await waitUntil(() => upstream.sessionsOf('tester').length === 0, { what: 'its session to end' });
  });

  it('shares its session with nobody: two callers, and two subscriptions of one, are three', async () => {
    const upstream = await telling([]);
    const gateway = await inFront(upstream.url);
    for (const [who, id] of [[alice, 1] as const, [alice, 1] as const, [bob, 1] as const]) {
      await (await subscribe(gateway, { toolsListChanged: true }, who, id)).awaitEvents(1);
    }
    expect(upstream.sessionsOf('tester')).toHaveLength(3);
    const flood = await Promise.all(Array.from({ length: 20 }, (_, id) => subscribe(gateway, { toolsListChanged: true }, alice, id)));
    await Promise.all(flood.map((stream) => waitUntil(() => stream.text().length > 0, { what: 'an answer' })));
    expect(flood.filter(({ status }) => status === 503)).toHaveLength(6);
    expect(upstream.sessionsOf('tester')).toHaveLength(17);
    await (await subscribe(gateway, { toolsListChanged: true }, bob, 2)).awaitEvents(1);
  });

  it('row 230: at a server that all clients share hears of changed lists, and of no resources', async () => {
    const fixture = join(import.meta.dirname, 'fixtures', 'changing-stdio.ts');
    const gateway = await startGateway({
      config: {
        auth: { api_keys: [keyEntry('alice', alice)] },
        upstream: { command: process.execPath, args: ['--disable-warning=ExperimentalWarning', fixture], modern_clients: 'bridge' },
      },
    });
    const discovered = await rpc(gateway.mcp, modernRequest('server/discover'), {
      key: alice.key,
      headers: modernHeaders('server/discover'),
    });
    expect(discovered.json['result']).toMatchObject({ capabilities: { tools: { listChanged: true }, resources: {} } });
    const stream = await subscribe(gateway, { toolsListChanged: true, resourceSubscriptions: ['test://a'] });
    expect(await stream.awaitEvents(1)).toMatchObject([{ params: { notifications: { toolsListChanged: true } } }]);
    const call = { key: alice.key, headers: modernHeaders('tools/call', 'change') };
    await rpc(gateway.mcp, modernRequest('tools/call', { name: 'change', arguments: {} }), call);
    expect((await stream.awaitEvents(2))[1]).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/tools/list_changed',
      params: { _meta: { [SUBSCRIPTION]: 'mine' } },
    });
  });

  it('is acknowledged with nothing in it, and ends, where nothing can come of it', async () => {
    const stateless = await inFront((await startHttpUpstream({ capabilities: { tools: { listChanged: true } } })).url);
    const silent = await inFront((await startSessionUpstream({ capabilities: { tools: {} } })).url);
    for (const gateway of [stateless, silent]) {
      const stream = await subscribe(gateway, { toolsListChanged: true });
      expect(await stream.ended).toBe('complete');
      expect(stream.events()).toMatchObject([
        { method: 'notifications/subscriptions/acknowledged', params: { notifications: {} } },
        { id: 'mine', result: { resultType: 'complete', _meta: { [SUBSCRIPTION]: 'mine' } } },
      ]);
    }
  });
});
