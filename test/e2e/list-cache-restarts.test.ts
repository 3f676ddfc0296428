import { describe, expect, it } from 'vitest';
import {
  type Gateway,
  type HttpUpstreamOptions,
  rpc,
  rpcRequest,
  startGateway,
  startHttpUpstream,
  toolCall,
  waitUntil,
} from './harness.ts';
import { startSessionUpstream } from './session-upstream.ts';
import { initialize } from './sessions.ts';
import { namesIn } from './tool-gateway.ts';

async function gatewayTo(url: string): Promise<Gateway> {
  return await startGateway({
    config: {
      auth: { allow_anonymous: true },
      rate_limit: { enabled: false },
      upstream: { transport: 'http', url, allow_private_networks: true, tool_cache_ttl_secs: 3600 },
    },
  });
}

/** Lists what `tools` says now. */
function listing(tools: () => readonly string[], version: () => string = () => '1'): NonNullable<HttpUpstreamOptions['answer']> {
  return ({ message }) => {
    const { id, method, params } = message as { id?: unknown; method?: string; params?: { protocolVersion?: string } };
    if (method === 'tools/list') {
      return { body: { jsonrpc: '2.0', id, result: { tools: tools().map((name) => ({ name, inputSchema: { type: 'object' } })) } } };
    }
    if (method !== 'initialize' || version() === '') return undefined;
    const serverInfo = { name: 'plain', version: version() };
    return { body: { jsonrpc: '2.0', id, result: { protocolVersion: params?.protocolVersion, capabilities: { tools: {} }, serverInfo } } };
  };
}

const list = async (gateway: Gateway): Promise<readonly string[]> => namesIn(await rpc(gateway.mcp, rpcRequest('tools/list')));

describe('a list that is kept, of an HTTP server without a standing stream', () => {
  it('is asked for anew when the server has forgotten the session that it was listed in', async () => {
    let tools = ['before'];
    const upstream = await startSessionUpstream({
      capabilities: { tools: {} },
      answer: listing(
        () => tools,
        () => '',
      ),
    });
    const gateway = await gatewayTo(upstream.url);
    expect(await list(gateway)).toEqual(['before']);
    tools = ['after'];
    expect(await list(gateway)).toEqual(['before']);
    for (const id of upstream.given) upstream.forget(id);
    expect((await rpc(gateway.mcp, toolCall('after'))).status).toBe(200);
    expect(await list(gateway)).toEqual(['after']);
  });

  it('is asked for anew when nothing but the gateway itself notices that', async () => {
    let tools = ['before'];
    const upstream = await startSessionUpstream({
      capabilities: { tools: {} },
      answer: listing(
        () => tools,
        () => '',
      ),
    });
    const gateway = await gatewayTo(upstream.url);
    expect(await list(gateway)).toEqual(['before']);
    tools = ['after'];
    for (const id of upstream.given) upstream.forget(id);
    await waitUntil(async () => (await list(gateway)).includes('after'), { what: 'the new list', timeoutMs: 15_000 });
    expect(upstream.of('tools/list')).toHaveLength(2);
  });

  it('is asked for anew when the server introduces itself as another version, and not for a client that it introduces itself to as before', async () => {
    let [tools, version] = [['before'], '1'];
    const upstream = await startHttpUpstream({
      answer: listing(
        () => tools,
        () => version,
      ),
    });
    const gateway = await gatewayTo(upstream.url);
    expect(await list(gateway)).toEqual(['before']);
    tools = ['after'];
    for (let client = 0; client < 5; client++) expect((await rpc(gateway.mcp, initialize())).status).toBe(200);
    expect(await list(gateway)).toEqual(['before']);
    version = '2';
    await rpc(gateway.mcp, initialize());
    expect(await list(gateway)).toEqual(['after']);
  });
});
