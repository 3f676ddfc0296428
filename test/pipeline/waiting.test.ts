import { tmpdir } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfigText } from '../../src/config/load.ts';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import type { ConfigSnapshot } from '../../src/core/config.ts';
import type { Listener } from '../../src/core/exchange.ts';
import type { Fleet } from '../../src/core/fleet.ts';
import { MemoryAuthority } from '../../src/limit/memory-authority.ts';
import { buildGateway, type Gateway, startListeners } from '../../src/pipeline/build.ts';
import { keyEntry, makeKey, rpc, rpcRequest, startHttpUpstream, toolCall, waitUntil } from '../e2e/harness.ts';
import type { HttpAnswer, HttpUpstream } from '../e2e/harness.ts';
import { converse, delay, ENGINES, parseAnswers } from '../listener/support.ts';
import { AuthorityPort } from './authority-port.ts';

/** The 100 ms that a request may wait for its authority take 600 ms here, so that no test depends on the machine's mood. */
const SLOWNESS = 6;
const slowClock: Clock = {
  nowMs: () => systemClock.nowMs() / SLOWNESS,
  wallMs: () => systemClock.wallMs(),
  after: (delayMs, callback) => systemClock.after(delayMs * SLOWNESS, callback),
  every: (periodMs, callback) => systemClock.every(periodMs * SLOWNESS, callback),
};
const SLOW = 0.001;
const KEY = makeKey();

const fleet: Fleet = {
  reason: '',
  upstreams: [],
  metricsText: (receive) => receive(null),
  stderr: (receive) => receive(null),
  limits: (receive) => receive(null),
};

interface Running {
  readonly port: AuthorityPort;
  readonly url: string;
  readonly number: number;
  readonly gateway: Gateway;
  readonly upstream: HttpUpstream;
  /** Lines of the audit trail so far. */
  audit(): Record<string, unknown>[];
  call(tool?: string): Promise<HttpAnswer>;
}

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

function configOf(url: string, engine: string, rateLimit: object): ConfigSnapshot {
  const config = {
    server: { engine, workers: 4 },
    auth: { api_keys: [keyEntry('alice', KEY)] },
    rate_limit: { requests_per_second: SLOW, burst_size: 3, ...rateLimit },
    upstream: { name: 'one', transport: 'http', url, allow_private_networks: true },
  };
  const { snapshot, problems } = loadConfigText({
    text: JSON.stringify(config),
    format: 'json',
    source: 'test',
    baseDir: tmpdir(),
    env: {},
  });
  if (snapshot === null) throw new Error(JSON.stringify(problems));
  return snapshot;
}

/** A worker of four whose limits are decided elsewhere: by a real authority, behind a port that can be held. */
async function start(engine: string, rateLimit: object = {}): Promise<Running> {
  const upstream = await startHttpUpstream();
  const config = configOf(upstream.url, engine, rateLimit);
  const authority = new MemoryAuthority({ holders: 1, capacity: 1024, idleTtlMs: 10_000, clock: slowClock });
  const port = new AuthorityPort(authority);
  let lines = '';
  const gateway = buildGateway(config, {
    clock: slowClock,
    fleet,
    worker: 0,
    verbosity: 0,
    baseEnv: {},
    sendServerNews: null,
    sendAudit: (bytes) => {
      lines += Buffer.from(bytes).toString();
      return true;
    },
    sealKeys: [new Uint8Array(32)],
    sendSessionNews: () => undefined,
    leasePort: port,
    sinceDeathMs: null,
    placePort: null,
    postRelay: null,
    mesh: null,
    peerPort: null,
    peerNews: () => undefined,
    onUpstreamChange: () => undefined,
  });
  const listeners: readonly Listener[] = await startListeners(config, { main: 0, admin: 0 }, gateway, systemClock);
  closers.push(async () => {
    for (const listener of listeners) listener.close();
    gateway.closeLimits();
    await gateway.close();
    await authority.close();
    await upstream.close();
  });
  await waitUntil(() => gateway.statuses()[0]?.state === 'ready', { what: 'the upstream' });
  const number = listeners[0]?.port ?? 0;
  const url = `http://127.0.0.1:${number}/mcp`;
  return {
    port,
    url,
    number,
    gateway,
    upstream,
    audit() {
      gateway.flushAudit();
      return lines
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    },
    call: (tool = 'echo') => rpc(url, toolCall(tool), { key: KEY.key }),
  };
}

function head(bodyBytes: number): string {
  const lines = ['POST /mcp HTTP/1.1', 'Host: localhost', `Authorization: Bearer ${KEY.key}`, 'Content-Type: application/json'];
  return `${lines.join('\r\n')}\r\nContent-Length: ${bodyBytes}\r\n\r\n`;
}

describe.each(ENGINES)('a request whose limit has to be asked for, on the %s engine', (engine) => {
  it('waits, and is decided as by a limiter that knows', async () => {
    const { call, upstream } = await start(engine);
    const answers: HttpAnswer[] = [];
    for (let i = 0; i < 5; i++) answers.push(await call());
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429, 429]);
    expect(answers.map(({ headers }) => headers['x-ratelimit-remaining'])).toEqual(['2', '1', '0', '0', '0']);
    expect(upstream.of('tools/call')).toHaveLength(3);
  });

  it.each([600, 200_000])('loses nothing of a body of %i bytes that arrives in pieces meanwhile', async (bytes) => {
    const { port, number, upstream } = await start(engine);
    const text = Array.from({ length: bytes }, (_, index) => String.fromCharCode(97 + (index % 26))).join('');
    const body = JSON.stringify(toolCall('echo', { text }));
    port.held = [];
    const client = converse(number);
    client.socket.write(head(body.length));
    const pieces = 8;
    for (let sent = 0; sent < pieces; sent++) {
      if (sent === pieces / 2) port.release();
      client.socket.write(body.slice((sent * body.length) / pieces, ((sent + 1) * body.length) / pieces));
      await delay(10);
    }
    await client.until((all) => all.includes('\r\n\r\n') && parseAnswersOrNone(all) > 0);
    expect(parseAnswers(client.text())[0]?.status).toBe(200);
    expect(upstream.of('tools/call')[0]?.message['params']).toEqual({ name: 'echo', arguments: { text } });
    client.socket.destroy();
  });

  it('takes nothing for a client that leaves meanwhile, sends nothing on, and records it once', async () => {
    const { port, number, upstream, call, audit } = await start(engine);
    port.held = [];
    const body = JSON.stringify(toolCall('echo'));
    const client = converse(number);
    client.socket.write(head(body.length) + body);
    await waitUntil(() => port.held?.length === 1, { what: 'an ask for tokens' });
    client.socket.destroy();
    await waitUntil(() => audit().some(({ status }) => status === 499), { what: 'the record of a client that left' });
    port.release();
    await delay(50);
    expect(upstream.of('tools/call')).toEqual([]);
    expect((await call()).headers['x-ratelimit-remaining']).toBe('2');
    expect(audit().filter(({ status }) => status === 499)).toHaveLength(1);
  });

  it('waits for the limit of its tool with its body read, and a refusal gives the token of its caller back', async () => {
    const tool_limits = [{ tool_pattern: 'write_*', requests_per_second: SLOW, burst_size: 1 }];
    const { call, url, upstream } = await start(engine, { burst_size: 20, tool_limits });
    expect((await call('write_file')).status).toBe(200);
    const refused = await rpc(url, toolCall('write_file', {}, 'its id'), { key: KEY.key });
    expect([refused.status, refused.json['id'], refused.headers['ratelimit']]).toEqual([429, 'its id', '"tool";r=0;t=1000']);
    expect((await call('echo')).headers['x-ratelimit-remaining']).toBe('18');
    expect(upstream.of('tools/call')).toHaveLength(2);
  });

  it('goes by the fail mode of its limit when nobody answers: closed is 503, and no fault of the caller', async () => {
    const { port, call, audit } = await start(engine, { fail_mode: 'closed' });
    port.isCut = true;
    const refused = await call();
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1']);
    expect(refused.json).toMatchObject({ error: { code: -31503, message: 'Limits unavailable', data: { retry_after: 1 } } });
    expect(Object.keys(refused.headers).filter((name) => name.includes('ratelimit'))).toEqual([]);
    expect(audit().find(({ reason }) => reason === 'limit_unavailable')).toMatchObject({
      event_type: 'rate_limited',
      decision: 'deny',
      status: 503,
      limit: 'principal',
    });
  });

  it('goes by the fail mode of its limit when nobody answers: open admits', async () => {
    const { port, call } = await start(engine, { fail_mode: 'open', burst_size: 1 });
    port.isCut = true;
    const answers = await Promise.all(Array.from({ length: 6 }, () => call()));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
  });

  it('answers a limited request with its id after the wait, and a ping as well as a call', async () => {
    const { url, port } = await start(engine, { burst_size: 1 });
    const send = (id: string): Promise<HttpAnswer> => rpc(url, rpcRequest('ping', {}, id), { key: KEY.key });
    port.held = [];
    const both = [send('a'), send('b')];
    await waitUntil(() => port.held?.length === 1, { what: 'an ask for both' });
    port.release();
    const answers = await Promise.all(both);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 429]);
    expect(answers.map(({ json }) => json['id']).toSorted()).toEqual(['a', 'b']);
  });
});

/** How many answers are complete. */
function parseAnswersOrNone(text: string): number {
  try {
    return parseAnswers(text).length;
  } catch {
    return 0;
  }
}
