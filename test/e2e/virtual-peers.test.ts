import * as v2 from '@modelcontextprotocol/client';
import { Client as V1Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Gateway, keyEntry, MAIN, makeKey, startGateway, waitUntil } from './harness.ts';
import { everythingOverHttp, everythingOverStdio, sdkServerOverHttp } from './peer-servers.ts';
import { openSession } from './sessions.ts';

const key = makeKey();
const INFO = { name: 'peer', version: '1.0.0' };
const CAPABILITIES = { sampling: {}, elicitation: {}, roots: { listChanged: true } };
let gateway: Gateway;
const open: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  gateway = await startGateway({
    config: {
      server: { workers: 4 },
      auth: { api_keys: [keyEntry('tester', key)] },
      rate_limit: { enabled: false },
      upstream: {
        servers: [
          { name: 'web', url: await everythingOverHttp(), allow_private_networks: true },
          { name: 'child', ...everythingOverStdio(), isolation: 'session' },
          { name: 'sdk', url: await sdkServerOverHttp('sessions'), allow_private_networks: true },
          // 2026-07-28 only: its sessions are kept by the gateway.
          { name: 'modern', url: await sdkServerOverHttp('modern'), allow_private_networks: true },
          // Shared by all.
          { name: 'demo', command: process.execPath, args: [MAIN, 'demo-server'] },
        ],
        aggregate: { enabled: true },
      },
    },
  });
}, 60_000);
afterAll(async () => {
  await Promise.allSettled(open.map((client) => client.close()));
});

interface Asked {
  readonly logs: { readonly logger?: string | undefined }[];
  readonly updated: string[];
  readonly questions: string[];
  readonly errors: Error[];
}

/** A client of SDK 1 that answers everything, with what it was asked and told. */
async function connect(): Promise<{ readonly client: V1Client; readonly heard: Asked }> {
  const client = new V1Client(INFO, { capabilities: CAPABILITIES });
  const heard: Asked = { logs: [], updated: [], questions: [], errors: [] };
  client.onerror = (error) => void heard.errors.push(error);
  client.setRequestHandler(CreateMessageRequestSchema, () => {
    heard.questions.push('sampling');
    return { model: 'none', role: 'assistant', content: { type: 'text', text: 'because' } };
  });
  client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
    heard.questions.push(`elicitation ${params.message}`);
    return { action: 'accept', content: { name: 'Ada' } };
  });
  client.setRequestHandler(ListRootsRequestSchema, () => {
    heard.questions.push('roots');
    return { roots: [{ uri: 'file:///home/ada', name: 'home' }] };
  });
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void heard.logs.push(params));
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => void heard.updated.push(params.uri));
  const transport = new StreamableHTTPClientTransport(new URL(gateway.mcp), {
    requestInit: { headers: { authorization: `Bearer ${key.key}` } },
  });
  await client.connect(transport as Transport);
  open.push(client);
  return { client, heard };
}

const text = (result: unknown): string => JSON.stringify(result);

describe('a session at a virtual server, with official clients and servers', () => {
  it('row 235: agrees to what its servers with sessions can, and lists the tools of all', async () => {
    const { client, heard } = await connect();
    expect(client.getServerCapabilities()).toEqual({
      tools: { listChanged: true },
      resources: { listChanged: true, subscribe: true },
      prompts: { listChanged: true },
      completions: {},
      logging: {},
    });
    expect(client.getServerVersion()).toMatchObject({ name: 'mcp-guard', title: 'aggregate' });
    const names: string[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await client.listTools(cursor === undefined ? {} : { cursor });
      names.push(...page.tools.map(({ name }) => name));
      cursor = page.nextCursor;
      if (cursor === undefined) break;
    }
    const servers = [...new Set(names.map((name) => name.split('__')[0]))];
    expect(servers).toEqual(['web', 'child', 'sdk', 'modern', 'demo']);
    // Shown to clients only that can be asked.
    expect(names).toEqual(expect.arrayContaining(['web__trigger-sampling-request', 'child__trigger-elicitation-request']));
    expect(await client.callTool({ name: 'demo__add', arguments: { a: 1, b: 2 } })).toMatchObject({ content: [{ text: '3' }] });
    await client.ping();
    expect(heard.errors).toEqual([]);
  });

  it.each(['web', 'child'])('row 235: lets the server %s ask for a model, for the user and for roots', async (server) => {
    const { client, heard } = await connect();
    const sampled = await client.callTool({ name: `${server}__trigger-sampling-request`, arguments: { prompt: 'Why?' } });
    expect(text(sampled)).toContain('because');
    expect(text(await client.callTool({ name: `${server}__trigger-elicitation-request`, arguments: {} }))).toContain('Ada');
    expect(text(await client.callTool({ name: `${server}__get-roots-list`, arguments: {} }))).toContain('file:///home/ada');
    expect(heard.questions).toEqual(expect.arrayContaining(['sampling', 'roots']));
    expect(heard.errors).toEqual([]);
  });

  it('row 235: puts questions of several servers at once to the client, and each gets its own answers', async () => {
    const { client, heard } = await connect();
    const calls = ['web', 'child', 'web', 'child'].map(async (server, n) =>
      text(await client.callTool({ name: `${server}__trigger-sampling-request`, arguments: { prompt: `${n}` } })),
    );
    const quiz = client.callTool({ name: 'sdk__ask', arguments: {} });
    for (const answer of await Promise.all(calls)) expect(answer).toContain('because');
    expect(text(await quiz)).toContain('was answered');
    expect(heard.questions.filter((one) => one === 'sampling')).toHaveLength(4);
    expect(heard.errors).toEqual([]);
  });

  it('row 235: sets the level of log messages at all, and says of each whose it is; progress comes with the call', async () => {
    const { client, heard } = await connect();
    await client.setLoggingLevel('debug');
    const steps: number[] = [];
    for (const server of ['sdk', 'modern']) {
      await client.callTool({ name: `${server}__steps`, arguments: { count: 3, mark: 'm' } }, undefined, {
        onprogress: ({ progress }) => steps.push(progress),
      });
    }
    expect(steps).toEqual([1, 2, 3, 1, 2, 3]);
    expect([...new Set(heard.logs.map(({ logger }) => logger))]).toEqual(expect.arrayContaining(['sdk__steps', 'modern__steps']));
    await client.callTool({ name: 'child__toggle-simulated-logging', arguments: {} });
    await waitUntil(() => heard.logs.some(({ logger }) => logger === 'child'), {
      what: 'a log message outside of calls',
      timeoutMs: 10_000,
    });
    expect(heard.errors).toEqual([]);
  });

  it('row 235: subscribes to resources at the servers that have them, and tells when they change', async () => {
    const { client, heard } = await connect();
    const uri = 'demo://resource/dynamic/text/1';
    await client.subscribeResource({ uri });
    for (const server of ['web', 'child']) await client.callTool({ name: `${server}__toggle-subscriber-updates`, arguments: {} });
    await waitUntil(() => heard.updated.length >= 2, { what: 'updates of both', timeoutMs: 15_000 });
    expect(new Set(heard.updated)).toEqual(new Set([uri]));
    await client.unsubscribeResource({ uri });
    expect(await client.readResource({ uri })).toMatchObject({ contents: [{ uri }] });
    expect(heard.errors).toEqual([]);
  });

  it('row 235: serves the client of SDK 2 in the same way, up to the end of its session', async () => {
    const client = new v2.Client(INFO, { capabilities: CAPABILITIES, versionNegotiation: { mode: 'legacy' } });
    client.setRequestHandler('roots/list', () => ({ roots: [{ uri: 'file:///v2' }] }));
    client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: { name: 'Bob' } }));
    client.setRequestHandler('sampling/createMessage', () => ({
      model: 'none',
      role: 'assistant',
      content: { type: 'text', text: 'so it is' },
    }));
    const transport = new v2.StreamableHTTPClientTransport(new URL(gateway.mcp), {
      requestInit: { headers: { authorization: `Bearer ${key.key}` } },
    });
    await client.connect(transport);
    open.push(client);
    expect(text(await client.callTool({ name: 'sdk__quiz', arguments: {} }))).toMatch(/Bob.*file:\/\/\/v2.*so it is/);
    expect(text(await client.callTool({ name: 'web__trigger-sampling-request', arguments: { prompt: 'x' } }))).toContain('so it is');
    await transport.terminateSession();
    expect(transport.sessionId).toBeUndefined();
  });

  it('row 235: serves every request of a session at whatever worker it arrives', async () => {
    const session = await openSession(gateway.mcp, { key: key.key });
    for (let n = 0; n < 16; n += 1) {
      const call = { jsonrpc: '2.0', id: n, method: 'tools/call', params: { name: 'child__echo', arguments: { message: `m${n}` } } };
      const answer = await session.post(call);
      expect([answer.status, answer.body.includes(`Echo: m${n}`)]).toEqual([200, true]);
    }
  });
});
