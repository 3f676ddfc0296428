import { afterEach, describe, expect, it } from 'vitest';
import type { StateSeal } from '../../src/core/state-seal.ts';
import type { InFlight, Upstream } from '../../src/core/upstream.ts';
import type { Refusal } from '../../src/core/refusal.ts';
import { Seal } from '../../src/pipeline/seal.ts';
import { buildUpstream } from '../../src/upstream/build.ts';
import { FakeClock } from './fake-clock.ts';
import { json, McpHttpServer, stream } from './http-server.ts';
import { call, deps, httpSettings, RecordedEvents, ready, Sink, until } from './support.ts';

const PREFIX = 'io.modelcontextprotocol/';
const META = {
  [`${PREFIX}protocolVersion`]: '2026-07-28',
  [`${PREFIX}clientCapabilities`]: { elicitation: {} },
  [`${PREFIX}clientInfo`]: { name: 'c', version: '1' },
};
const PARKED_MS = 300_000;
const STEP_MS = 2000;
const opened: Upstream[] = [];
const servers: McpHttpServer[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((upstream) => upstream.close()));
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

/** In steps in which the server answers the pings of the gateway. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let passedMs = 0; passedMs < ms; passedMs += STEP_MS) {
    clock.advance(STEP_MS);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const seal: StateSeal = Seal.of([Buffer.alloc(32, 7)], 'request state');

function send(upstream: Upstream, params: object, sink: Sink): InFlight | Refusal {
  const options = { restPath: '', principalKey: 'api_key:alice', modern: { params: null } };
  return upstream.request(call('tools/call', { name: 'ask', _meta: META, ...params }), options, sink);
}

describe('a call that waits for its client', () => {
  it('waits five minutes: then the server is told that it is over, and its state is good for nothing', async () => {
    const clock = new FakeClock();
    const server = await new McpHttpServer({
      sessions: true,
      handlers: {
        'server/discover': (response, { id }) =>
          json(response, JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } })),
        'tools/call': (response) => stream(response)({ id: 'q', method: 'elicitation/create', params: { message: 'Who?' } }),
      },
    }).listen();
    servers.push(server);
    const settings = httpSettings(server.url, { isBridged: true, timeoutMs: 600_000, timeoutMaxMs: 600_000 });
    const upstream = buildUpstream(settings, { ...deps(new RecordedEvents(), clock), stateSeal: seal });
    opened.push(upstream);
    upstream.start();
    await ready(upstream);
    const first = new Sink();
    send(upstream, {}, first);
    const { reply } = await first.outcome;
    const requestState = String((reply?.result as { requestState?: unknown } | undefined)?.requestState);
    expect(seal.open(requestState)).not.toBeNull();
    await pass(clock, PARKED_MS - 2 * STEP_MS);
    expect(server.calls('notifications/cancelled')).toEqual([]);
    await pass(clock, 3 * STEP_MS);
    await until(() => server.calls('notifications/cancelled').length === 1, 'the server to know');
    const answers = server.seen.filter(({ message }) => message.error !== undefined).map(({ message }) => message.id);
    expect(answers).toEqual(['q']);
    const late = send(upstream, { requestState, inputResponses: { 'question-1': { action: 'accept' } } }, new Sink());
    expect(late).toMatchObject({ code: 'BAD_PARAMS' });
  });
});
