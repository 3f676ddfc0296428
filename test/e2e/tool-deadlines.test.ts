import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Gateway,
  type HttpAnswer,
  keyEntry,
  makeKey,
  rpc,
  runCli,
  startGateway,
  startHttpUpstream,
  stdioUpstream,
  tempDir,
  toolCall,
  waitUntil,
} from './harness.ts';

const key = makeKey();
let gateway: Gateway;

/** Far below and far above what the tools take: nothing here depends on how fast the machine is. */
const tool_timeouts = [
  { tool_pattern: 'sleep', timeout_secs: 60 },
  { tool_pattern: 'progress', timeout_max_secs: 1.6 },
];

beforeAll(async () => {
  const http = await startHttpUpstream({
    answer: ({ message }) => {
      const params = message['params'] as { name?: string } | undefined;
      if (message['method'] !== 'tools/call') return undefined;
      const reply = { jsonrpc: '2.0', id: message['id'], result: { content: [{ type: 'text', text: 'slept' }] } };
      if (params?.name === 'sleep') return { body: reply, delayMs: 1500 };
      const note = { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: message['id'], progress: 1 } };
      return params?.name === 'progress' ? { events: [...Array.from({ length: 200 }, () => note), reply], gapMs: 50 } : { isSilent: true };
    },
  });
  gateway = await startGateway({
    config: {
      auth: { api_keys: [keyEntry('all', key)] },
      upstream: {
        servers: [
          { name: 'http', url: http.url, allow_private_networks: true, timeout_secs: 0.8, tool_timeouts },
          { name: 'stdio', ...stdioUpstream(), timeout_secs: 0.8, tool_timeouts },
        ],
      },
    },
  });
});

const call = (server: string, tool: string, args: object, meta?: object): Promise<HttpAnswer> =>
  rpc(`${gateway.mcp}/${server}`, toolCall(tool, args, 1, meta), { key: key.key });

describe.each(['http', 'stdio'])('deadlines of single tools (%s)', (server) => {
  it('row 150: a tool that is known to be slow has longer than the others of its server', async () => {
    const [slow, other] = await Promise.all([call(server, 'sleep', { ms: 1500 }), call(server, 'echo', { delayMs: 5000 })]);
    expect([slow.status, slow.json?.['result']?.['content']?.['0']?.['text']]).toEqual([200, 'slept']);
    expect([other.status, other.json?.['error']?.['code']]).toEqual([504, -31504]);
  });

  it('row 150: the longest time of a tool ends it whatever its progress', async () => {
    const answer = await call(server, 'progress', { steps: 200, ms: 50 }, { progressToken: 'p' });
    expect(answer.json?.['error']?.['code']).toBe(-31504);
    // Not for want of a sign of life: its progress kept it alive.
    await waitUntil(() => new RegExp(`"server":"${server}".*within its hard deadline`).test(gateway.stderr()), { what: 'the log line' });
  });
});

describe('validate', () => {
  it('refuses a pattern for a server that it does not stand at', async () => {
    const config = {
      auth: { api_keys: [keyEntry('all', key)] },
      upstream: { servers: [{ name: 'one', command: 'x', tool_timeouts: [{ tool_pattern: 'two:sleep', timeout_secs: 1 }] }] },
    };
    const cwd = await tempDir();
    await writeFile(join(cwd, 'c.json'), JSON.stringify(config));
    const { code, stdout, stderr } = await runCli(['validate', '-c', 'c.json'], { cwd });
    expect([code, stdout + stderr]).toEqual([1, expect.stringContaining('upstream.servers[0].tool_timeouts[0].tool_pattern')]);
  });
});
