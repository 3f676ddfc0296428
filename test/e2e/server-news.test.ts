import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  keyEntry,
  makeKey,
  rpc,
  rpcStream,
  scrape,
  sleep,
  startGateway,
  tempDir,
  waitUntil,
  type Gateway,
  type HttpAnswer,
} from './harness.ts';
import { modernHeaders, modernRequest } from './modern.ts';
import type { RpcStream } from './rpc-stream.ts';

const key = makeKey();
const other = makeKey();
const FIXTURE = join(import.meta.dirname, 'fixtures', 'telling-stdio.ts');

interface Seen {
  readonly pid: number;
  readonly method: string;
  readonly params?: { readonly notifications?: { readonly resourceSubscriptions?: readonly string[] } };
}

interface Listener {
  readonly stream: RpcStream;
  /** What it was told after the acknowledgement: the method, and the resource. */
  heard(): string[];
}

let gateway: Gateway;
let file: string;

beforeAll(async () => {
  file = join(await tempDir(), 'seen');
  const args = ['--disable-warning=ExperimentalWarning', FIXTURE, file];
  gateway = await startGateway({
    config: {
      server: { workers: 2, admin: { port: 0 } },
      auth: { api_keys: [keyEntry('one', key), keyEntry('two', other)] },
      rate_limit: { enabled: false },
      upstream: { name: 'telling', command: process.execPath, args, tool_cache_ttl_secs: 600 },
    },
  });
});

async function seen(method: string): Promise<Seen[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const all = text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Seen]));
  return all.filter((one) => one.method === method);
}

async function listen(filter: object, who = key): Promise<Listener> {
  const message = modernRequest('subscriptions/listen', { notifications: filter }, 'mine');
  const stream = await rpcStream(gateway.mcp, message, { key: who.key, headers: modernHeaders('subscriptions/listen') });
  await stream.awaitEvents(1);
  const heard = (): string[] =>
    stream
      .events()
      .slice(1)
      .map(({ method, params }) => {
        expect(params?.['_meta']).toEqual({ 'io.modelcontextprotocol/subscriptionId': 'mine' });
        return `${String(method)} ${String(params?.['uri'])}`;
      });
  return { stream, heard };
}

/** Subscriptions at both workers: each has a child of its own. */
async function listenEverywhere(filter: object): Promise<Listener[]> {
  const before = (await seen('subscriptions/listen')).length;
  const listeners: Listener[] = [];
  const isEverywhere = async (): Promise<boolean> =>
    new Set((await seen('subscriptions/listen')).slice(before).map(({ pid }) => pid)).size === 2 && listeners.length > 5;
  while (!(await isEverywhere())) listeners.push(await listen(filter));
  // Workers tell each other what their clients want to be told.
  await sleep(500);
  return listeners;
}

async function call(name: string, uri = ''): Promise<HttpAnswer> {
  return await rpc(gateway.mcp, modernRequest('tools/call', { name, arguments: { uri } }), {
    key: key.key,
    headers: modernHeaders('tools/call', name),
  });
}

async function heardBy(listeners: readonly Listener[], what: string): Promise<void> {
  await waitUntil(() => listeners.every(({ heard }) => heard().includes(what)), {
    what,
    describe: () => JSON.stringify(listeners.map(({ heard }) => heard())),
  });
}

const TOOLS_CHANGED = 'notifications/tools/list_changed undefined';

describe('what a server of revision 2026-07-28 tells that each worker has a child of', () => {
  it('reaches who subscribed at any worker, once, and nobody who did not ask for it', async () => {
    const filter = { toolsListChanged: true, resourceSubscriptions: ['test://one'] };
    const [listeners, others] = [await listenEverywhere(filter), await listenEverywhere({ resourceSubscriptions: ['test://two'] })];
    expect((await call('change')).status).toBe(200);
    await heardBy(listeners, TOOLS_CHANGED);
    expect((await call('update', 'test://one')).status).toBe(200);
    await heardBy(listeners, 'notifications/resources/updated test://one');
    expect((await call('update', 'test://two')).status).toBe(200);
    await heardBy(others, 'notifications/resources/updated test://two');
    await sleep(300);
    for (const { heard } of listeners) expect(heard()).toEqual([TOOLS_CHANGED, 'notifications/resources/updated test://one']);
    for (const { heard } of others) expect(heard()).toEqual(['notifications/resources/updated test://two']);
    for (const { stream } of [...listeners, ...others]) stream.leave();
  });

  it('is not asked for any more when nobody is left who wants to know', async () => {
    const listeners = await listenEverywhere({ resourceSubscriptions: ['test://left'] });
    for (const { stream } of listeners) stream.leave();
    await waitUntil(
      async () => {
        const [opened, closed] = [await seen('subscriptions/listen'), await seen('notifications/cancelled')];
        return opened.length === closed.length;
      },
      { what: 'all subscriptions to be cancelled' },
    );
    await sleep(500);
    expect((await seen('subscriptions/listen')).length).toBe((await seen('notifications/cancelled')).length);
  });

  it('makes the lists old that every worker keeps', async () => {
    /** Which answers of its children the gateway hands out: each is another one. */
    const lists = async (): Promise<string[]> => {
      const headers = modernHeaders('tools/list');
      const ask = async (): Promise<HttpAnswer> => await rpc(gateway.mcp, modernRequest('tools/list'), { key: key.key, headers });
      const answers = await Promise.all(Array.from({ length: 20 }, ask));
      return [...new Set(answers.map(({ body }) => /"description":"([^"]+)"/.exec(body)?.[1] ?? body))].toSorted();
    };
    const listeners = await listenEverywhere({ toolsListChanged: true });
    const before = await waitUntil(async () => ((await lists()).length === 2 ? await lists() : null), { what: 'both to be asked' });
    expect(await lists()).toEqual(before);
    await call('change');
    await heardBy(listeners, TOOLS_CHANGED);
    await waitUntil(async () => (await lists()).every((one) => !before.includes(one)), { what: 'both to be asked again' });
    for (const { stream } of listeners) stream.leave();
  });

  it('does not flood the other workers, however often it says so', async () => {
    const listeners = await listenEverywhere({ toolsListChanged: true, resourceSubscriptions: ['test://flood'] });
    await call('flood', 'test://flood');
    await heardBy(listeners, 'notifications/resources/updated test://flood');
    const counts = (): number[] => listeners.map(({ heard }) => heard().length).toSorted((a, b) => a - b);
    await waitUntil(() => counts().at(-1) === 2000, { what: 'all of it, where it was said' });
    await sleep(300);
    expect(counts()[0]).toBeLessThan(60);
    for (const { stream } of listeners) stream.leave();
  });
});

describe('resources that are too many to be told of between workers', () => {
  it('are counted, and no more when nobody asks for them', async () => {
    const many = Array.from({ length: 1100 }, (_, index) => `test://many/${index}`);
    const listener = await listen({ resourceSubscriptions: many });
    const unheard = async (): Promise<number> => await scrape(gateway, 'mcp_guard_subscribed_resources_unheard{server="telling"}');
    await waitUntil(async () => (await unheard()) === 76, { what: 'those beyond 1,024' });
    listener.stream.leave();
    await waitUntil(async () => (await unheard()) === 0, { what: 'none' });
    expect(await unheard()).toBe(0);
  });
});
