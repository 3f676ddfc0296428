import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { request, type ClientRequest, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { http, keyEntry, makeKey, sleep, startGateway, stdioUpstream, waitUntil, type Gateway } from './harness.ts';
import { everythingOverStdio } from './peer-servers.ts';

const alice = makeKey();
const bob = makeKey();
const SERVED = { sse: { enabled: true } };
const HANDSHAKE = { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
const open = new Set<ClientRequest>();
afterAll(() => {
  for (const one of open) one.destroy();
});

type Message = Readonly<Record<string, unknown>>;

/** A standing stream, read event by event. */
class Stream {
  readonly messages: Message[] = [];
  endpoint = '';
  text = '';
  isEnded = false;
  readonly #request: ClientRequest;
  readonly #url: string;
  readonly #key: string | undefined;

  private constructor(url: string, key: string | undefined, made: ClientRequest, response: IncomingMessage) {
    this.#url = url;
    this.#key = key;
    this.#request = made;
    response.setEncoding('utf8').on('data', (chunk: string) => this.#read(chunk));
    response.on('end', () => (this.isEnded = true));
    response.on('error', () => (this.isEnded = true));
  }

  static async open(url: string, key?: string, path = '/sse'): Promise<Stream> {
    const made = request(url + path, {
      headers: { ...(key !== undefined && { authorization: `Bearer ${key}` }), accept: 'text/event-stream' },
      agent: false,
    });
    open.add(made);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      made.once('response', resolve).once('error', reject).end();
    });
    const head = [response.statusCode, response.headers['content-type'], response.headers['x-accel-buffering']];
    if (head.join() !== '200,text/event-stream,no') throw new Error(`no stream: ${head.join()}`);
    const stream = new Stream(url, key, made, response);
    await waitUntil(() => stream.endpoint !== '', { what: 'the endpoint event' });
    return stream;
  }

  /** POSTs a message on a connection of its own, and returns what the POST was answered with. */
  async post(message: object | string, key = this.#key): Promise<{ status: number; body: string }> {
    const body = typeof message === 'string' ? message : JSON.stringify({ jsonrpc: '2.0', ...message });
    const auth = key === undefined ? {} : { key };
    return await http('POST', this.#url + this.endpoint, { ...auth, body, headers: { 'content-type': 'application/json' } });
  }

  async ask(method: string, params: object = {}, id: string | number = 1): Promise<Message> {
    const { status, body } = await this.post({ id, method, params });
    if (status !== 202 || body !== '') throw new Error(`the POST was answered with ${status} ${body}`);
    return await this.answer(id);
  }

  async answer(id: unknown): Promise<Message> {
    const found = (): Message | undefined => this.messages.find((one) => one['id'] === id && one['method'] === undefined);
    return await waitUntil(found, { what: `an answer to ${String(id)}`, timeoutMs: 15_000, describe: () => this.text.slice(0, 2000) });
  }

  leave(): void {
    this.#request.destroy();
  }

  #read(chunk: string): void {
    this.text += chunk;
    const events = this.text.split('\n\n').slice(0, -1);
    this.endpoint = /^event: endpoint\ndata: (.*)$/.exec(events[0] ?? '')?.[1] ?? '';
    const data = events.filter((event) => event.startsWith('event: message\ndata: ')).map((event) => event.slice(21));
    this.messages.splice(0, this.messages.length, ...data.map((one) => JSON.parse(one) as Message));
  }
}

const textOf = (message: object): string => (message as { result: { content: [{ text: string }] } }).result.content[0].text;
const echo = (args: object): object => ({ name: 'echo', arguments: args });

describe.each(['uws', 'node'])('a client over HTTP+SSE (%s)', (engine) => {
  let gateway: Gateway;

  beforeAll(async () => {
    const keys = [
      keyEntry('alice', alice, { denied_tools: ['env'], rate_limit: 10_000, burst: 10_000 }),
      keyEntry('bob', bob, { rate_limit: 10_000, burst: 10_000 }),
    ];
    gateway = await startGateway({
      config: { server: { ...SERVED, engine, workers: 0 }, auth: { api_keys: keys }, audit: { enabled: true }, upstream: stdioUpstream() },
    });
  });
  afterAll(async () => void (await gateway.stop()));

  it('row 43: the stream names an address at the gateway, a POST there is 202, and its answer comes on the stream', async () => {
    const stream = await Stream.open(gateway.url, alice.key);
    expect(stream.endpoint).toMatch(/^\/messages\?sessionId=[\w.-]+$/);
    expect(await stream.ask('initialize', HANDSHAKE, 'i')).toMatchObject({ result: { protocolVersion: '2024-11-05' } });
    expect(await stream.post({ method: 'notifications/initialized' })).toMatchObject({ status: 202, body: '' });
    expect(textOf(await stream.ask('tools/call', echo({ a: 'ü\u2028\n' }), 7))).toBe('{"a":"ü\u2028\\n"}');
    const progress = { name: 'progress', arguments: { steps: 2 }, _meta: { progressToken: 'p' } };
    expect(textOf(await stream.ask('tools/call', progress, 8))).toBe('done');
    expect(stream.messages.filter(({ method }) => method === 'notifications/progress')).toHaveLength(2);
    expect(stream.messages).toHaveLength(5);
  });

  it('row 43: nobody but its principal reaches a stream, whatever they know of it', async () => {
    const stream = await Stream.open(gateway.url, alice.key);
    const stranger = await http('POST', gateway.url + stream.endpoint, { body: '{"jsonrpc":"2.0","id":1,"method":"ping"}' });
    expect(stranger.status).toBe(401);
    const foreign = await stream.post({ id: 1, method: 'ping' }, bob.key);
    const absent = await http('POST', `${gateway.url}/messages?sessionId=0.${'A'.repeat(22)}`, { key: bob.key, body: '{}' });
    expect([foreign.status, absent.status]).toEqual([404, 404]);
    const nobody = await http('GET', `${gateway.url}/sse`);
    expect(nobody.status).toBe(401);
    expect(stream.messages).toEqual([]);
  });

  it('refuses on the POST what it can refuse at once, by the rules of every POST', async () => {
    const stream = await Stream.open(gateway.url, alice.key);
    const denied = await stream.post({ id: 9, method: 'tools/call', params: { name: 'env', arguments: {} } });
    expect([denied.status, JSON.parse(denied.body)]).toMatchObject([403, { id: 9, error: { code: -31_403 } }]);
    expect((await stream.post('{nonsense')).status).toBe(400);
    expect((await stream.post('[{"jsonrpc":"2.0","id":1,"method":"ping"}]')).status).toBe(400);
    const form = { key: alice.key, body: '{}', headers: { 'content-type': 'text/plain' } };
    expect((await http('POST', gateway.url + stream.endpoint, form)).status).toBe(415);
    expect((await http('GET', gateway.url + stream.endpoint, { key: alice.key })).status).toBe(405);
    expect(await stream.ask('ping', {}, 'on')).toMatchObject({ result: {} });
    expect(stream.messages).toHaveLength(1);
  });

  it('keeps two streams of one caller apart that count alike', async () => {
    const streams = await Promise.all(Array.from({ length: 6 }, async () => await Stream.open(gateway.url, alice.key)));
    await Promise.all(
      streams.map(async (stream, index) => {
        for (const id of [1, 2]) {
          const text = textOf(await stream.ask('tools/call', echo({ index, id, delayMs: (7 * index) % 20 }), id));
          expect(JSON.parse(text)).toMatchObject({ index, id });
        }
        expect(stream.messages).toHaveLength(2);
      }),
    );
  });

  it('forgets a stream whose client has left', async () => {
    const stream = await Stream.open(gateway.url, alice.key);
    stream.leave();
    const isForgotten = async (): Promise<boolean> => (await stream.post({ id: 1, method: 'ping' })).status === 404;
    expect(await waitUntil(isForgotten, { what: '404' })).toBe(true);
  });

  it('keeps no more than a hundred of one caller', async () => {
    const streams = await Promise.all(Array.from({ length: 100 }, async () => await Stream.open(gateway.url, bob.key)));
    const one = await http('GET', `${gateway.url}/sse`, { key: bob.key });
    expect(one.status).toBe(429);
    for (const stream of streams) stream.leave();
    await waitUntil(async () => (await Stream.open(gateway.url, bob.key).catch(() => null)) !== null, { what: 'room again' });
  });
});

describe('HTTP+SSE clients and the rest of the gateway', () => {
  it('row 43: serves the official client, whose POSTs reach any of four workers', async () => {
    const config = { server: { ...SERVED, workers: 4 }, auth: { allow_anonymous: true }, upstream: everythingOverStdio() };
    const gateway = await startGateway({ config: { ...config, rate_limit: { requests_per_second: 1000, burst_size: 1000 } } });
    const client = new Client({ name: 'peer', version: '1.0.0' });
    await client.connect(new SSEClientTransport(new URL(`${gateway.url}/sse`)));
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain('echo');
    const steps: number[] = [];
    const long = { name: 'trigger-long-running-operation', arguments: { duration: 0.4, steps: 4 } };
    await client.callTool(long, undefined, { onprogress: ({ progress }) => void steps.push(progress) });
    expect(steps.slice(0, 3)).toEqual([1, 2, 3]);
    await client.close();
    await gateway.stop();
  });

  it('row 43: every POST on a connection of its own finds the worker that holds the stream, and answers once', async () => {
    const keys = [
      keyEntry('alice', alice, { denied_tools: ['env'], rate_limit: 10_000, burst: 10_000 }),
      keyEntry('bob', bob, { rate_limit: 1000, burst: 1000 }),
    ];
    const config = { server: { ...SERVED, workers: 4 }, auth: { api_keys: keys }, audit: { enabled: true }, upstream: stdioUpstream() };
    const gateway = await startGateway({ config });
    const stream = await Stream.open(gateway.url, alice.key);
    for (let id = 0; id < 40; id++) expect(textOf(await stream.ask('tools/call', echo({ id }), id))).toBe(`{"id":${id}}`);
    expect(stream.messages).toHaveLength(40);
    for (let id = 0; id < 12; id++) expect((await stream.post({ id, method: 'ping' }, bob.key)).status).toBe(404);
    const denied = await Promise.all(
      Array.from({ length: 12 }, async (_, id) => await stream.post({ id, method: 'tools/call', params: { name: 'env', arguments: {} } })),
    );
    expect(denied.map(({ status }) => status)).toEqual(Array.from({ length: 12 }, () => 403));
    const calls = await waitUntil(
      async () => {
        const lines = (await gateway.auditLines()).filter((line) => line['tool'] === 'echo' && line['event_type'] === 'tool_call');
        return lines.length >= 40 ? lines : undefined;
      },
      { what: 'all records' },
    );
    expect(calls).toHaveLength(40);
    await gateway.stop();
  });

  it('ends streams when the gateway stops, after what is under way', async () => {
    const config = { server: { ...SERVED, workers: 1 }, auth: { allow_anonymous: true }, upstream: stdioUpstream() };
    const gateway = await startGateway({ config });
    const [first, second] = (await Promise.all([0, 1].map(async () => await Stream.open(gateway.url)))) as [Stream, Stream];
    expect((await first.post({ id: 'slow', method: 'tools/call', params: { name: 'sleep', arguments: { ms: 1000 } } })).status).toBe(202);
    await sleep(50);
    const stopped = gateway.stop();
    await waitUntil(() => second.isEnded, { what: 'the idle one ends' });
    expect(first.isEnded).toBe(false);
    expect(textOf(await first.answer('slow'))).toBe('slept');
    await waitUntil(() => first.isEnded, { what: 'the busy one ends' });
    expect(await stopped).toEqual({ code: 0, signal: null });
  });

  it('is 404 unless it is switched on', async () => {
    const gateway = await startGateway({ config: { server: { workers: 0 }, auth: { allow_anonymous: true }, upstream: stdioUpstream() } });
    expect((await http('GET', `${gateway.url}/sse`)).status).toBe(404);
    expect((await http('POST', `${gateway.url}/messages?sessionId=x`, { body: '{}' })).status).toBe(404);
    await gateway.stop();
  });
});
