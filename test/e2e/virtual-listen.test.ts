import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { keyEntry, makeKey, rpc, rpcStream, sleep, startGateway, tempDir, waitUntil, type Gateway, type HttpAnswer } from './harness.ts';
import { modernHeaders, modernRequest } from './modern.ts';
import type { RpcStream } from './rpc-stream.ts';

const all = makeKey();
const few = makeKey();
const FIXTURE = join(import.meta.dirname, 'fixtures', 'telling-stdio.ts');
const SUBSCRIPTION = { 'io.modelcontextprotocol/subscriptionId': 'mine' };

let gateway: Gateway;
const files = new Map<string, string>();

beforeAll(async () => {
  for (const name of ['one', 'two']) files.set(name, join(await tempDir(), 'seen'));
  const program = (name: string): object => ({
    name,
    command: process.execPath,
    args: ['--disable-warning=ExperimentalWarning', FIXTURE, files.get(name)],
  });
  gateway = await startGateway({
    config: {
      auth: { api_keys: [keyEntry('all', all), keyEntry('few', few, { servers: ['one'] })] },
      rate_limit: { enabled: false },
      upstream: {
        servers: [program('one'), program('two')],
        virtual: [{ name: 'both', servers: ['one', 'two'], resources: ['test://shown/*'] }],
      },
    },
  });
  // Whether a program speaks the revision is found out when the first request needs to know.
  for (const name of ['one', 'two'])
    await waitUntil(async () => (await call(name, 'change')).status === 200, { what: name, timeoutMs: 15_000 });
});

async function call(path: string, name: string, uri = ''): Promise<HttpAnswer> {
  return await rpc(`${gateway.mcp}/${path}`, modernRequest('tools/call', { name, arguments: { uri } }), {
    key: all.key,
    headers: modernHeaders('tools/call', name),
  });
}

async function listen(filter: object, key = all.key): Promise<RpcStream> {
  const message = modernRequest('subscriptions/listen', { notifications: filter }, 'mine');
  const stream = await rpcStream(`${gateway.mcp}/both`, message, { key, headers: modernHeaders('subscriptions/listen') });
  await stream.awaitEvents(1);
  return stream;
}

async function seen(
  name: string,
): Promise<readonly { readonly pid: number; readonly method: string; readonly params?: { readonly notifications?: object } }[]> {
  const text = await readFile(files.get(name) ?? '', 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Awaited<ReturnType<typeof seen>>[number]]));
}

const told = (stream: RpcStream): string[] =>
  stream
    .events()
    .slice(1)
    .map(({ method, params }) => `${String(method)} ${String(params?.['uri'])}`);

const TOOLS_CHANGED = 'notifications/tools/list_changed undefined';

describe('a subscription at a virtual server', () => {
  it('is one to all of its servers: acknowledged once, with what they have agreed to, and told by each', async () => {
    const discover = await rpc(`${gateway.mcp}/both`, modernRequest('server/discover'), {
      key: all.key,
      headers: modernHeaders('server/discover'),
    });
    expect(discover.json?.['result']?.['capabilities']).toEqual({ tools: { listChanged: true }, resources: { subscribe: true } });
    const stream = await listen({ toolsListChanged: true, resourceSubscriptions: ['test://shown/a', 'test://hidden/b'] });
    const notifications = { toolsListChanged: true, resourceSubscriptions: ['test://shown/a'] };
    expect(stream.events()).toMatchObject([
      { method: 'notifications/subscriptions/acknowledged', params: { notifications, _meta: SUBSCRIPTION } },
    ]);
    for (const name of ['one', 'two']) {
      const before = told(stream).length;
      await call(name, 'change');
      await call(name, 'update', 'test://shown/a');
      await call(name, 'update', 'test://hidden/b');
      await waitUntil(() => told(stream).length === before + 2, { what: `news of ${name}`, describe: () => stream.text() });
      expect(told(stream).slice(before)).toEqual([TOOLS_CHANGED, 'notifications/resources/updated test://shown/a']);
      const [asked] = (await seen(name)).filter(({ method }) => method === 'subscriptions/listen');
      expect(asked?.params?.notifications).toEqual(notifications);
    }
    expect(stream.events().every(({ params }) => JSON.stringify(params?.['_meta']) === JSON.stringify(SUBSCRIPTION))).toBe(true);
    stream.leave();
    for (const name of ['one', 'two']) {
      await waitUntil(async () => (await seen(name)).some(({ method }) => method === 'notifications/cancelled'), {
        what: `its end at ${name}`,
      });
    }
  });

  it('says nothing of a server that its caller may not reach', async () => {
    const stream = await listen({ toolsListChanged: true }, few.key);
    await call('two', 'change');
    await call('one', 'change');
    await stream.awaitEvents(2);
    await sleep(300);
    expect(told(stream)).toEqual([TOOLS_CHANGED]);
    stream.leave();
  });

  it('goes on when one of its servers ends, and has that one again when it is back', async () => {
    const stream = await listen({ toolsListChanged: true });
    const pid = (await seen('two')).at(-1)?.pid ?? 0;
    process.kill(pid, 'SIGKILL');
    await call('one', 'change');
    await waitUntil(() => told(stream).length === 1, { what: 'news of the other' });
    // Nobody knows what it would have told meanwhile.
    await waitUntil(() => told(stream).length === 2, { what: 'the server to be back', timeoutMs: 20_000 });
    await call('two', 'change');
    await waitUntil(() => told(stream).length === 3, { what: 'its news' });
    expect(told(stream)).toEqual([TOOLS_CHANGED, TOOLS_CHANGED, TOOLS_CHANGED]);
    stream.leave();
  });

  it('is no way to a filter that is none, nor for a client that takes no events', async () => {
    const headers = modernHeaders('subscriptions/listen');
    const answer = await rpc(`${gateway.mcp}/both`, modernRequest('subscriptions/listen', { notifications: 7 }), { key: all.key, headers });
    expect([answer.status, answer.json?.['error']?.['code']]).toEqual([400, -32_602]);
    const message = modernRequest('subscriptions/listen', { notifications: { toolsListChanged: true } });
    const silent = await rpc(`${gateway.mcp}/both`, message, { key: all.key, headers: { ...headers, accept: 'application/json' } });
    expect(silent.status).toBe(406);
  });
});
