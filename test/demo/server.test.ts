import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { cleanEnv, MAIN, runCli } from '../e2e/harness.ts';

async function connect(): Promise<Client> {
  const client = new Client({ name: 'demo-test', version: '1.0.0' });
  const transport = new StdioClientTransport({ command: process.execPath, args: [MAIN, 'demo-server'], env: cleanEnv(), stderr: 'pipe' });
  await client.connect(transport);
  onTestFinished(() => client.close());
  return client;
}

async function call(client: Client, name: string, args: Record<string, unknown>): Promise<{ text: string; isError: boolean }> {
  const result = await client.callTool({ name, arguments: args });
  const [block] = result.content as { type: string; text: string }[];
  return { text: block?.text ?? '', isError: result.isError === true };
}

/** The answers to lines written to stdin, which ends behind them. */
async function answersTo(...lines: unknown[]): Promise<unknown[]> {
  const input = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n');
  const { code, stdout, stderr } = await runCli(['demo-server'], { input: `${input}\n` });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);
}

describe('the demo server with the official SDK client', () => {
  it('offers its tools with object schemas, and delete_file is marked destructive', async () => {
    const client = await connect();
    expect(client.getServerVersion()?.name).toBe('mcp-guard-demo');
    const { tools } = await client.listTools();
    expect(tools.map((tool) => tool.name)).toEqual(['echo', 'add', 'slow', 'list_files', 'read_file', 'delete_file']);
    for (const tool of tools) expect(tool.inputSchema.type).toBe('object');
    expect(tools.at(-1)?.annotations?.destructiveHint).toBe(true);
  });

  it('echoes and adds', async () => {
    const client = await connect();
    expect(await call(client, 'echo', { message: 'a\u2028b ü 😀' })).toEqual({ text: 'a\u2028b ü 😀', isError: false });
    expect(await call(client, 'add', { a: 2, b: 0.5 })).toEqual({ text: '2.5', isError: false });
  });

  it('tells a model about wrong arguments in the result, and refuses an unknown tool', async () => {
    const client = await connect();
    expect(await call(client, 'add', { a: '2', b: 1 })).toEqual({ text: 'a must be a number', isError: true });
    await expect(client.callTool({ name: 'rm', arguments: {} })).rejects.toMatchObject({ code: -32602 });
  });

  it('reports progress while slow runs, when asked to', async () => {
    const client = await connect();
    const seen: number[] = [];
    const onprogress = (progress: { progress: number }): void => void seen.push(progress.progress);
    await client.callTool({ name: 'slow', arguments: { ms: 80, steps: 4 } }, undefined, { onprogress });
    expect(seen).toEqual([1, 2, 3, 4]);
  });

  it('lists and reads the sample folder', async () => {
    const client = await connect();
    expect((await call(client, 'list_files', {})).text.split('\n')).toEqual(['data/', 'notes/', 'welcome.md']);
    expect((await call(client, 'list_files', { path: 'data' })).text).toBe('planets.csv');
    expect((await call(client, 'read_file', { path: 'data/planets.csv' })).text).toContain('Saturn,58232,146');
  });

  it.each(['../server.ts', 'notes/../../server.ts', '/etc/passwd', 'data\\..\\..\\x', 'a\0b', 'nothing.txt', 'welcome.md/x', '', 'notes'])(
    'does not read %j',
    async (path) => {
      const client = await connect();
      expect((await call(client, 'read_file', { path })).isError).toBe(true);
    },
  );

  it('never deletes: it says what it would do and the file is still there', async () => {
    const client = await connect();
    expect((await call(client, 'delete_file', { path: 'welcome.md' })).text).toContain('would be deleted');
    expect((await call(client, 'read_file', { path: 'welcome.md' })).text).toContain('# Welcome');
  });

  it('has one resource and one prompt', async () => {
    const client = await connect();
    const { resources } = await client.listResources();
    expect(resources.map((resource) => resource.uri)).toEqual(['demo://about']);
    const { contents } = await client.readResource({ uri: 'demo://about' });
    expect(contents[0]).toMatchObject({ mimeType: 'text/plain' });
    await expect(client.readResource({ uri: 'demo://other' })).rejects.toMatchObject({ code: -32002 });
    const { prompts } = await client.listPrompts();
    expect(prompts.map((prompt) => prompt.name)).toEqual(['summarize_file']);
    const prompt = await client.getPrompt({ name: 'summarize_file', arguments: { path: 'welcome.md' } });
    expect(prompt.messages[0]?.content).toMatchObject({ type: 'text', text: expect.stringContaining('"welcome.md"') as string });
  });

  it('answers ping', async () => {
    const client = await connect();
    expect(await client.ping()).toEqual({});
  });
});

describe('the demo server on the wire', () => {
  it.each(['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'])('speaks revision %s when asked for it', async (protocolVersion) => {
    const params = { protocolVersion, capabilities: {}, clientInfo: { name: 'x', version: '1' } };
    const [answer] = await answersTo({ jsonrpc: '2.0', id: 0, method: 'initialize', params });
    expect(answer).toMatchObject({ id: 0, result: { protocolVersion } });
  });

  it('offers its newest revision to a client that asks for another', async () => {
    const params = { protocolVersion: '1999-01-01', capabilities: {}, clientInfo: { name: 'x', version: '1' } };
    const [answer] = await answersTo({ jsonrpc: '2.0', id: 'a', method: 'initialize', params });
    expect(answer).toMatchObject({ id: 'a', result: { protocolVersion: '2025-11-25' } });
  });

  it('refuses what it does not know and keeps serving', async () => {
    const answers = await answersTo(
      { jsonrpc: '2.0', id: 1, method: 'tools/destroy' },
      '{"jsonrpc":',
      { jsonrpc: '1.0', id: 2, method: 'ping' },
      { jsonrpc: '2.0', id: null, method: 'ping' },
      { jsonrpc: '2.0', method: 'notifications/initialized' },
      { jsonrpc: '2.0', id: 3, result: {} },
      { jsonrpc: '2.0', id: 4, method: 'tools/call', params: { name: '__proto__' } },
      { jsonrpc: '2.0', id: 5, method: 'ping' },
    );
    const summary = (answers as { id: unknown; error?: { code: number } }[]).map(({ id, error }) => `${id} ${error?.code ?? 'ok'}`);
    expect(summary.toSorted()).toEqual(['1 -32601', '4 -32602', '5 ok', 'null -32600', 'null -32600', 'null -32700']);
  });

  it('answers a batch with an array and stays silent on a batch of notifications', async () => {
    const answers = await answersTo(
      [
        { jsonrpc: '2.0', id: 1, method: 'ping' },
        { jsonrpc: '2.0', method: 'notifications/initialized' },
      ],
      [{ jsonrpc: '2.0', method: 'notifications/initialized' }],
      [],
    );
    expect(answers).toHaveLength(2);
    expect(answers).toContainEqual([{ jsonrpc: '2.0', id: 1, result: {} }]);
    expect(answers).toContainEqual({ jsonrpc: '2.0', id: null, error: { code: -32600, message: 'Invalid Request' } });
  });

  it('sends no answer to a cancelled call, and ends at once when stdin closes while a call waits', async () => {
    const slow = (id: number): unknown => ({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name: 'slow', arguments: { ms: 60_000 } },
    });
    const begin = performance.now();
    const answers = await answersTo(slow(1), { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } }, slow(2), {
      jsonrpc: '2.0',
      id: 3,
      method: 'ping',
    });
    expect(answers).toEqual([{ jsonrpc: '2.0', id: 3, result: {} }]);
    expect(performance.now() - begin).toBeLessThan(10_000);
  });

  it('refuses an oversized line without keeping it and reads on', async () => {
    const answers = await answersTo(`"${'x'.repeat(5 * 1024 * 1024)}"`, { jsonrpc: '2.0', id: 9, method: 'ping' });
    expect(answers).toMatchObject([
      { id: null, error: { code: -32600 } },
      { id: 9, result: {} },
    ]);
  });
});
