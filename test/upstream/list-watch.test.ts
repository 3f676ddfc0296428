import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { Upstream } from '../../src/core/upstream.ts';
import { buildUpstream } from '../../src/upstream/build.ts';
import { McpHttpServer, stream } from './http-server.ts';
import { deps, httpSettings, ready, RecordedEvents, until } from './support.ts';

const opened: Upstream[] = [];
const servers: McpHttpServer[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((upstream) => upstream.close()));
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

interface Opened {
  readonly server: McpHttpServer;
  readonly events: RecordedEvents;
  readonly upstream: Upstream;
  gets(): number;
}

async function open(standing: ((response: ServerResponse) => void) | undefined, listCacheMs = 60_000): Promise<Opened> {
  const server = await new McpHttpServer({ sessions: true, ...(standing !== undefined && { standing }) }).listen();
  servers.push(server);
  const events = new RecordedEvents();
  const upstream = buildUpstream(httpSettings(server.url, { listCacheMs }), deps(events));
  opened.push(upstream);
  upstream.start();
  await ready(upstream);
  return { server, events, upstream, gets: () => server.seen.filter(({ method }) => method === 'GET').length };
}

describe('ListWatch', () => {
  it('hears of changed lists in the session that all share, and answers what it is asked there', async () => {
    const { server, events } = await open((response) => {
      const send = stream(response);
      send({ method: 'notifications/tools/list_changed' });
      send({ method: 'notifications/message', params: { level: 'info', data: 'for whom?' } });
      send({ id: 'mine', method: 'ping' });
      send({ method: 'notifications/prompts/list_changed' });
    });
    await until(() => events.changedLists.length === 2, 'both changes are heard');
    expect(events.changedLists).toEqual(['tools', 'prompts']);
    await until(() => server.seen.some(({ message }) => message.result !== undefined), 'the ping is answered');
    expect(server.seen.filter(({ message }) => message.result !== undefined).map(({ message }) => message)).toEqual([
      { jsonrpc: '2.0', id: 'mine', result: {} },
    ]);
    const get = server.seen.find(({ method }) => method === 'GET');
    expect(get?.headers).toMatchObject({
      'mcp-session-id': 'session-1',
      'mcp-protocol-version': '2025-06-18',
      accept: expect.stringContaining('text/event-stream') as string,
    });
    expect([get?.headers['content-type'], get?.headers['content-length']]).toEqual([undefined, undefined]);
  });

  it('asks a server that has no such stream once, and one whose lists are not kept never', async () => {
    const without = await open(undefined);
    const unkept = await open((response) => void stream(response), 0);
    await until(() => without.gets() === 1, 'it is asked');
    // Longer than the first retry would take.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect([without.gets(), unkept.gets()]).toEqual([1, 0]);
  });

  it('listens again when the stream ends, and takes all lists for changed then', async () => {
    const streams: ServerResponse[] = [];
    const { events, gets } = await open((response) => {
      stream(response);
      streams.push(response);
    });
    await until(() => streams.length === 1, 'it listens');
    streams[0]?.end();
    await until(() => gets() === 2, 'it listens again');
    expect(new Set(events.changedLists)).toEqual(new Set(['any']));
    await until(() => streams.length === 2, 'the stream stands');
    streams[1]?.destroy();
    await until(() => gets() === 3, 'and again');
  });

  it('gives up what grows without end, and leaves with the upstream', async () => {
    const streams: ServerResponse[] = [];
    const { upstream, events } = await open((response) => {
      stream(response);
      streams.push(response);
      response.write(`data: ${'x'.repeat(1024 * 1024 + 10)}`);
    });
    await until(() => streams[0]?.destroyed === true, 'the stream is given up');
    await until(() => streams.length === 2, 'it listens again');
    expect(new Set(events.changedLists)).toEqual(new Set(['any']));
    await upstream.close();
    await until(() => streams.every(({ destroyed }) => destroyed), 'all streams are given up');
  });
});
