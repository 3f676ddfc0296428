import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MAIN, runCli, runProgram, startGateway, tempDir, type Gateway } from './harness.ts';
import { CLIENTS, connectV1, connectV2Legacy, type Peer } from './peers.ts';

const DIRECT = { command: process.execPath, args: [MAIN, 'demo-server'] };
const DENIED = 'delete_file';

function keysIn(text: string): string[] {
  return [...new Set(text.match(/mcp_[A-Za-z0-9_-]{43}/g))];
}

async function survey({ client, callTool }: Peer): Promise<object> {
  const { resources } = await client.listResources();
  const { prompts } = await client.listPrompts();
  const progress: unknown[] = [];
  return {
    server: client.getServerVersion(),
    instructions: client.getInstructions(),
    capabilities: client.getServerCapabilities(),
    tools: (await client.listTools()).tools.filter(({ name }) => name !== DENIED),
    resources,
    templates: await client.listResourceTemplates(),
    prompts,
    contents: await Promise.all(resources.map(async ({ uri }) => await client.readResource({ uri }))),
    messages: await Promise.all(prompts.map(async ({ name }) => await client.getPrompt({ name, arguments: {} }).catch(String))),
    calls: await Promise.all([
      callTool({ name: 'echo', arguments: { message: 'Grüße' } }),
      callTool({ name: 'add', arguments: { a: 0.5, b: 1 } }),
      callTool({ name: 'list_files', arguments: {} }),
      callTool({ name: 'read_file', arguments: { path: '../secret' } }),
      callTool({ name: 'slow', arguments: { ms: 120, steps: 3 } }, { onprogress: (step) => void progress.push(step) }),
    ]),
    progress,
  };
}

let started: Promise<Gateway> | null = null;

/** `run --demo`. A survey asks more at once than the default burst of 10 admits. */
async function demo(): Promise<{ readonly mcp: string; readonly key: string }> {
  started ??= startGateway({ args: ['--demo'], env: { MCP_GUARD_RATE_LIMIT_BURST_SIZE: '1000' } });
  const gateway = await started;
  return { mcp: gateway.mcp, key: keysIn(gateway.stdout())[0] ?? '' };
}

describe('the demo that npm start runs', () => {
  it.each(CLIENTS)('serves %s as the demo server itself does, but for what it denies', async (_name, connect) => {
    const { mcp, key } = await demo();
    const [one, another] = [await connect(DIRECT), await connect({ url: mcp, key })];
    expect(await survey(another)).toEqual(await survey(one));
    expect((await one.client.listTools()).tools.map(({ name }) => name)).toContain(DENIED);
    expect((await another.client.listTools()).tools.map(({ name }) => name)).not.toContain(DENIED);
    await expect(another.callTool({ name: DENIED, arguments: { path: 'welcome.md' } })).rejects.toThrow(/-31403/);
  });
});

describe('the revisions that the README names', () => {
  it.each(['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'])('%s is spoken with a client that knows no other', async (revision) => {
    const { mcp, key } = await demo();
    const peer = await connectV2Legacy({ url: mcp, key }, { revision });
    expect(peer.revision).toBe(revision);
    expect(await peer.callTool({ name: 'echo', arguments: { message: revision } })).toMatchObject({ content: [{ text: revision }] });
    expect(peer.errors).toEqual([]);
  });

  it('are what a client agrees on that would rather have the one of 2026', async () => {
    const { mcp, key } = await demo();
    const seen = await Promise.all(CLIENTS.map(async ([, connect]) => (await connect({ url: mcp, key })).revision));
    expect(seen).toEqual(['2025-11-25', '2025-11-25', '2025-11-25']);
  });
});

describe('the commands of the README', () => {
  it('lead from nothing to a client that may do what its key says', async () => {
    const dir = await tempDir();
    const steps =
      (await readFile(join(import.meta.dirname, '..', '..', 'README.md'), 'utf8')).match(/^mcp-guard (init|keygen) [^#\n]*/gm) ?? [];
    expect(steps.map((line) => line.split(' ')[1])).toEqual(['init', 'keygen']);
    const printed: string[] = [];
    for (const step of steps) {
      const line = step.replace('mcp-guard', `'${process.execPath}' '${MAIN}'`);
      const { code, stdout, stderr } = await runProgram('/bin/sh', ['-c', line], { cwd: dir });
      expect([step, code, stderr]).toEqual([step, 0, expect.anything()]);
      printed.push(stdout);
    }
    const [[first = ''], [alice = '']] = [keysIn(printed[0] ?? ''), keysIn(printed[1] ?? '')];
    const gateway = await startGateway({ dir });
    const [everything, some] = [await connectV1({ url: gateway.mcp, key: first }), await connectV1({ url: gateway.mcp, key: alice })];
    expect((await everything.client.listTools()).tools.map(({ name }) => name)).toEqual(['echo', 'add', 'slow', 'list_files', 'read_file']);
    expect((await some.client.listTools()).tools.map(({ name }) => name)).toEqual(['echo', 'read_file']);
    await expect(some.callTool({ name: 'add', arguments: { a: 1, b: 1 } })).rejects.toThrow(/-31403/);
    const allowed = await runCli(['check', '--policy', 'mcp-guard.toml', '--identity', 'alice', '--tool', 'read_file'], { cwd: dir });
    expect([allowed.code, allowed.stdout]).toEqual([0, expect.stringMatching(/^ALLOW/)]);
    await gateway.stop();
  });
});
