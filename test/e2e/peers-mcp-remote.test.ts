import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { keyEntry, makeKey, REPOSITORY, startGateway, tempDir, type Gateway } from './harness.ts';
import { sdkServerOverStdio } from './peer-servers.ts';
import { CLIENTS, connectV1, type StdioTarget } from './peers.ts';

const MCP_REMOTE = join(REPOSITORY, 'node_modules', 'mcp-remote', 'dist', 'proxy.js');
const key = makeKey();
let gateway: Gateway;
let home: string;

beforeAll(async () => {
  home = await tempDir();
  const entry = keyEntry('remote', key, { rate_limit: 10_000, burst: 10_000, denied_tools: ['exit'] });
  gateway = await startGateway({ config: { auth: { api_keys: [entry] }, upstream: { ...sdkServerOverStdio() } } });
});

/** What desktop programs that know only stdio start: a bridge to the gateway, with its key. */
function bridge(bearer: string = key.key): StdioTarget {
  const options = ['--allow-http', '--transport', 'http-only', '--header', `Authorization: Bearer ${bearer}`];
  const environment = [`HOME=${home}`, `MCP_REMOTE_CONFIG_DIR=${join(home, 'mcp-auth')}`];
  return { command: 'env', args: [...environment, process.execPath, MCP_REMOTE, gateway.mcp, ...options] };
}

describe('mcp-remote in front of the gateway', () => {
  it.each(CLIENTS)('brings %s what the server offers, without what the key denies', async (_name, connect) => {
    const [direct, remote] = [await connect(sdkServerOverStdio()), await connect(bridge())];
    expect(remote.client.getServerVersion()).toEqual(direct.client.getServerVersion());
    const { tools } = await remote.client.listTools({ cursor: '8' });
    expect(tools.map(({ name }) => name)).toEqual(['request', 'ask']);
    expect(await remote.callTool({ name: 'add', arguments: { a: 2, b: 3 } })).toMatchObject({ structuredContent: { sum: 5 } });
    expect(remote.errors).toEqual([]);
  });

  it('relays progress', async () => {
    const remote = await connectV1(bridge());
    const progress: number[] = [];
    const call = { name: 'steps', arguments: { count: 3, gapMs: 20, mark: 'remote' } };
    const result = await remote.callTool(call, { onprogress: (step) => void progress.push(step.progress) });
    // The SDK's client forgets the call with its result, and reads the last step after it when both come in one piece.
    expect([result['content'], progress.slice(0, 2)]).toEqual([[{ type: 'text', text: '3 steps, remote' }], [1, 2]]);
  });

  it('passes on what the gateway refuses', async () => {
    const remote = await connectV1(bridge());
    await expect(remote.callTool({ name: 'exit' })).rejects.toMatchObject({
      message: expect.stringMatching(/denied|not permitted|403/i) as string,
    });
    expect(await remote.callTool({ name: 'add', arguments: { a: 1, b: 1 } })).toMatchObject({ structuredContent: { sum: 2 } });
  });
});
