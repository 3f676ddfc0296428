import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { WebSocketClientTransport } from '@modelcontextprotocol/sdk/client/websocket.js';
import { ListRootsRequestSchema, LoggingMessageNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { describe, expect, it } from 'vitest';
import { http, keyEntry, makeKey, rpcRequest, startGateway, stdioUpstream, toolCall, toolText, waitUntil } from './harness.ts';
import { sdkServerOverHttp } from './peer-servers.ts';
import { listen, openSession, sessionAt } from './sessions.ts';
import { startSessionUpstream } from './session-upstream.ts';
import { startHosts } from './two-hosts.ts';
import { childrenOf } from './worker-processes.ts';

const alice = makeKey();
const asAlice = { key: alice.key };

describe('a session at a virtual server', () => {
  it('row 235: is there for clients over WebSocket: what members ask and tell comes over the connection', async () => {
    const gateway = await startGateway({
      config: {
        server: { websocket: { enabled: true }, workers: 2 },
        auth: { allow_anonymous: true },
        upstream: {
          servers: [
            { name: 'sdk', url: await sdkServerOverHttp('sessions'), allow_private_networks: true },
            { name: 'child', ...stdioUpstream(), isolation: 'session' },
          ],
          aggregate: { enabled: true },
        },
      },
    });
    const client = new Client({ name: 'peer', version: '1.0.0' }, { capabilities: { roots: {} } });
    const logs: unknown[] = [];
    client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: 'file:///over/websocket' }] }));
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void logs.push(params.logger));
    await client.connect(new WebSocketClientTransport(new URL(`${gateway.url.replace('http', 'ws')}/ws`)));
    expect(JSON.stringify(await client.callTool({ name: 'sdk__ask', arguments: {} }))).toContain('was answered');
    const said = `${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 1 } })}\n`;
    // Its own call is answered first, so that this comes outside of any.
    const text = `${JSON.stringify({ jsonrpc: '2.0', id: 2, result: { content: [] } })}\n${said}`;
    await client.callTool({ name: 'child__raw', arguments: { text } });
    await waitUntil(() => logs.includes('child'), { what: 'what the child says' });
    await client.close();
    await gateway.stop();
  });

  it('row 235: is used by way of another host, questions and streams included, and ended there', async () => {
    const server = await startSessionUpstream();
    const { near, far, recordFile } = await startHosts({
      keys: { alice },
      more: {
        upstream: {
          servers: [
            { name: 'web', url: server.url, allow_private_networks: true },
            { name: 'child', ...stdioUpstream(), isolation: 'session' },
          ],
          aggregate: { enabled: true },
        },
      },
    });
    expect(recordFile).not.toBe('');
    const begun = await openSession(far.gateway.mcp, { ...asAlice, client: 'traveller' });
    const session = sessionAt(near.gateway.mcp, begun, asAlice);
    for (const name of ['web', 'child']) {
      const answer = await session.post(toolCall(`${name}__echo`, { by: 'the other host' }));
      expect([answer.status, toolText(answer).includes('the other host')]).toEqual([200, true]);
    }
    expect((await session.post(rpcRequest('tools/list'))).body).toMatch(/web__echo.*child__echo/);
    const stream = await listen(near.gateway.mcp, alice.key, session.id);
    const asks = [
      { id: 4, result: { content: [] } },
      { id: 'q', method: 'roots/list' },
    ];
    const text = asks.map((message) => `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`).join('');
    await session.post(toolCall('child__raw', { text }));
    await stream.awaits('roots/list');
    stream.leave();
    expect((await http('DELETE', near.gateway.mcp, { ...asAlice, headers: session.headers })).status).toBe(200);
    await waitUntil(() => server.sessionsOf('traveller').length === 0, { what: 'its end at the member' });
    expect((await begun.post(toolCall('web__echo'))).status).toBe(404);
  });

  it('row 235: is unknown when its worker is lost, and clients begin anew', async () => {
    const gateway = await startGateway({
      config: {
        server: { workers: 2 },
        auth: { api_keys: [keyEntry('alice', alice)] },
        rate_limit: { enabled: false },
        upstream: { servers: [{ name: 'child', ...stdioUpstream(), isolation: 'session' }], aggregate: { enabled: true } },
      },
    });
    const session = await openSession(gateway.mcp, asAlice);
    expect(toolText(await session.post(toolCall('child__echo', { n: 1 })))).toContain('1');
    for (const pid of await childrenOf(gateway.pid)) process.kill(pid, 'SIGKILL');
    const isLost = async (): Promise<boolean> =>
      (await session.post(toolCall('child__echo')).then(
        ({ status }) => status,
        () => 0,
      )) === 404;
    await waitUntil(isLost, { what: 'its end', timeoutMs: 15_000 });
    const anew = await openSession(gateway.mcp, asAlice);
    expect(toolText(await anew.post(toolCall('child__echo', { n: 2 })))).toContain('2');
  });
});
