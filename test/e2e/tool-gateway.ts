import { expect } from 'vitest';
import { join } from 'node:path';
import { tempDir } from './cli.ts';
import { type Gateway, startGateway } from './gateway.ts';
import { type HttpAnswer, rpc, rpcRequest, toolCall } from './http.ts';
import { type HttpUpstream, startHttpUpstream, type UpstreamAnswer, type UpstreamRequest } from './http-upstream.ts';
import { makeKey } from './keys.ts';
import { readRecord, stdioUpstream } from './stdio-upstream.ts';

/** Every way a tool list can reach a client: two transports, as JSON and as an event stream. */
export const WAYS = ['http-json', 'http-sse', 'stdio-json', 'stdio-sse'] as const;
export type Way = (typeof WAYS)[number];

/** What each of the upstreams offers. */
export const TOOLS: readonly string[] =
  'echo|read_file|read_dir|write_file|delete_file|fs/read|fs/a/b|a|b|c|ab|Echo|echo |e*o|données|日本語|tool:colon'.split('|');
export const CURSOR = 'page-2 "opaque"';

/** A gateway in front of three servers that offer the same tools, with one identity for each of the given grants. */
export interface ToolGateway {
  readonly gateway: Gateway;
  readonly json: HttpUpstream;
  readonly sse: HttpUpstream;
  /** Of the stdio server: everything it received. */
  readonly recordFile: string;
  keyOf(id: string): string;
  urlOf(way: Way): string;
  list(id: string, way: Way): Promise<HttpAnswer>;
  call(id: string, way: Way, tool: string, requestId?: string | number): Promise<HttpAnswer>;
  /** Which of the tools the identity may call, found out by calling each; any answer but 200 and 403 fails. */
  callable(id: string, way: Way): Promise<string[]>;
  /** All calls that any upstream has received so far. */
  callsSeen(): Promise<number>;
}

function listResult(): Record<string, unknown> {
  const tools = TOOLS.map((name) => ({ name, description: `Tool ${name}`, inputSchema: { type: 'object' } }));
  return { tools, nextCursor: CURSOR, _meta: { kept: true } };
}

/** Answers lists with a cursor; lists and calls as an event stream, after a notification, when `isStream`. */
function pagingAnswer(isStream: boolean): (request: UpstreamRequest) => UpstreamAnswer | undefined {
  return ({ message }) => {
    const { id, method } = message;
    if (method !== 'tools/list' && !(isStream && method === 'tools/call')) return undefined;
    const result = method === 'tools/list' ? listResult() : { content: [{ type: 'text', text: 'called' }] };
    const reply = { jsonrpc: '2.0', id, result };
    const note = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'about to answer' } };
    return isStream ? { events: [note, reply] } : { body: reply };
  };
}

const SERVERS: Readonly<Record<Way, string>> = { 'http-json': 'json', 'http-sse': 'sse', 'stdio-json': 'stdio', 'stdio-sse': 'stdio' };

/** On a stdio server only a request with a progress token is answered as an event stream. */
function metaOf(way: Way): Record<string, unknown> | undefined {
  return way === 'stdio-sse' ? { progressToken: 'p' } : undefined;
}

export async function startToolGateway(grants: Readonly<Record<string, Record<string, unknown>>>): Promise<ToolGateway> {
  const json = await startHttpUpstream({ answer: pagingAnswer(false) });
  const sse = await startHttpUpstream({ answer: pagingAnswer(true) });
  const recordFile = join(await tempDir(), 'record');
  const keys = new Map(Object.keys(grants).map((id) => [id, makeKey()]));
  const gateway = await startGateway({
    config: {
      auth: { api_keys: Object.entries(grants).map(([id, grant]) => ({ id, key_hash: keys.get(id)?.hash, ...grant })) },
      rate_limit: { enabled: false },
      upstream: {
        servers: [
          { name: 'json', transport: 'http', url: json.url, allow_private_networks: true },
          { name: 'sse', transport: 'http', url: sse.url, allow_private_networks: true },
          { name: 'stdio', ...stdioUpstream({ recordFile, tools: TOOLS, listExtras: { nextCursor: CURSOR, _meta: { kept: true } } }) },
        ],
      },
    },
  });
  const keyOf = (id: string): string => keys.get(id)?.key ?? 'no such identity';
  const urlOf = (way: Way): string => `${gateway.mcp}/${SERVERS[way]}`;
  const call: ToolGateway['call'] = (id, way, tool, requestId = 7) =>
    rpc(urlOf(way), toolCall(tool, { x: 1 }, requestId, metaOf(way)), { key: keyOf(id) });
  return {
    gateway,
    json,
    sse,
    recordFile,
    keyOf,
    urlOf,
    call,
    list: (id, way) => {
      const meta = metaOf(way);
      return rpc(urlOf(way), rpcRequest('tools/list', meta === undefined ? {} : { _meta: meta }, `list-${id}`), { key: keyOf(id) });
    },
    callable: async (id, way) => {
      const found: string[] = [];
      for (const tool of TOOLS) {
        const { status } = await call(id, way, tool);
        expect([200, 403]).toContain(status);
        if (status === 200) found.push(tool);
      }
      return found;
    },
    callsSeen: async () => {
      const { messages } = await readRecord(recordFile);
      const onStdio = messages.filter(({ method }) => method === 'tools/call').length;
      return json.of('tools/call').length + sse.of('tools/call').length + onStdio;
    },
  };
}

/** The names in a `tools/list` answer. */
export function namesIn(answer: HttpAnswer): string[] {
  const { tools } = (answer.json as unknown as { readonly result: { readonly tools: readonly { readonly name: string }[] } }).result;
  return tools.map(({ name }) => name);
}

/** A denial: 403 with the id of the request and nothing of the reason. */
export function expectDenied(answer: HttpAnswer, id: unknown): void {
  expect(answer.status).toBe(403);
  expect(answer.json).toMatchObject({ jsonrpc: '2.0', id, error: { code: -31403, message: 'Not authorized' } });
  expect(answer.json?.['error']?.['data']?.['error_id']).toMatch(/^[0-9a-f-]{36}$/);
  expect(answer.json).not.toHaveProperty('result');
}
