import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  http,
  isAlive,
  rawExchange,
  readRecord,
  rpc,
  rpcRequest,
  runProgram,
  startHttpUpstream,
  stdioUpstream,
  tempDir,
  toolCall,
  toolText,
  waitUntil,
  within,
} from './harness.ts';

describe('the harness', () => {
  it('has an HTTP upstream that records what it received and answers by script', async () => {
    const upstream = await startHttpUpstream({
      answer: ({ message }) => (message['method'] === 'stream' ? { events: [{ step: 1 }, { step: 2 }], gapMs: 5 } : undefined),
    });
    const call = await rpc(upstream.url, toolCall('echo', { x: 1 }, 'id-1'), { headers: { 'X-One': '1' } });
    expect(toolText(call)).toBe('{"name":"echo","arguments":{"x":1}}');
    expect(call.json).toMatchObject({ id: 'id-1' });
    expect((await rpc(upstream.url, rpcRequest('stream'))).events).toEqual([{ step: 1 }, { step: 2 }]);
    expect((await rpc(upstream.url, { jsonrpc: '2.0', method: 'notifications/initialized' })).status).toBe(202);
    expect(upstream.of('tools/call')[0]?.headers['x-one']).toBe('1');
    expect(upstream.requests).toHaveLength(3);
    await upstream.close();
    await expect(http('GET', upstream.url)).rejects.toThrow('ECONNREFUSED');
  });

  it('has a stdio upstream that writes down its process id and what it was told', async () => {
    const recordFile = join(await tempDir(), 'record');
    const { command, args } = stdioUpstream({ recordFile, noise: ['hello'], tools: ['only'] });
    const { code, stdout } = await runProgram(command, args, { input: `${JSON.stringify(rpcRequest('tools/list'))}\n` });
    expect(code).toBe(0);
    expect(stdout.split('\n')[0]).toBe('hello');
    expect(stdout).toContain('"name":"only"');
    const { pids, messages } = await readRecord(recordFile);
    expect(messages).toEqual([rpcRequest('tools/list')]);
    expect(pids.map(isAlive)).toEqual([false]);
  });

  it('speaks raw bytes and tells whether the peer closed', async () => {
    const { port, connections } = await startHttpUpstream();
    expect(connections).toBe(0);
    const closed = await rawExchange(port, ['GET / HT', 'TP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n']);
    expect(closed.isClosed).toBe(true);
    expect(closed.text).toMatch(/^HTTP\/1\.1 405 /);
    expect(await rawExchange(port, ['GET / HTTP/1.1\r\n'], { quietMs: 50 })).toEqual({ text: '', isClosed: false });
  });

  it('bounds every wait and says what it waited for', async () => {
    await expect(waitUntil(() => false, { what: 'the moon', timeoutMs: 30, describe: () => 'stderr here' })).rejects.toThrow(
      /the moon.*\nstderr here/,
    );
    await expect(within(new Promise(() => undefined), 20, () => 'stuck')).rejects.toThrow('stuck');
  });
});
