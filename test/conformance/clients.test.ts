import type { VersionNegotiationMode } from '@modelcontextprotocol/client';
import { beforeAll, describe, expect, it } from 'vitest';
import { waitUntil } from '../e2e/wait.ts';
import { fixtureOverHttp, gatewayInFront, type ModernTransport, type UpstreamTransport } from './fixture.ts';
import { connectFull, type FullClient } from './full-client.ts';

const NEWEST = '2026-07-28';
const ASKING = ['elicitation', 'sampling', 'list_roots', 'request_state', 'multiple_inputs', 'multi_round', 'tampered_state'];

async function progressOf({ client }: FullClient): Promise<unknown[]> {
  const progress: unknown[] = [];
  await client.callTool({ name: 'test_tool_with_progress' }, { onprogress: (step) => void progress.push(step) });
  return progress;
}

async function failure(work: Promise<unknown>): Promise<object> {
  const error = (await work.then(
    () => new Error('no failure'),
    (reason: unknown) => reason,
  )) as Error & { code?: number; data?: unknown };
  return { message: error.message, code: error.code, data: error.data };
}

/** What a program with all abilities sees of the server; its questions are answered meanwhile. */
async function survey(full: FullClient): Promise<Readonly<Record<string, unknown>>> {
  const { client } = full;
  const call = async (name: string): Promise<unknown> => (await client.callTool({ name })).content;
  return {
    revision: client.getNegotiatedProtocolVersion(),
    server: client.getServerVersion(),
    capabilities: client.getServerCapabilities(),
    tools: (await client.listTools()).tools,
    resources: (await client.listResources()).resources,
    templates: (await client.listResourceTemplates()).resourceTemplates,
    prompts: (await client.listPrompts()).prompts,
    contents: (await client.readResource({ uri: 'test://template/ä b/data' })).contents,
    missing: await failure(client.readResource({ uri: 'test://no/such' })),
    asked: await Promise.all(ASKING.map((name) => call(`test_input_required_result_${name}`))),
    prompt: (await client.getPrompt({ name: 'test_input_required_result_prompt' })).messages,
    mirrored: (await client.callTool({ name: 'test_x_mcp_header', arguments: { region: ' ünknown =?base64?', level: 3 } })).content,
    progress: await progressOf(full),
    completion: await client.complete({
      ref: { type: 'ref/prompt', name: 'test_prompt_with_arguments' },
      argument: { name: 'arg1', value: 'test' },
    }),
  };
}

async function toldOfChanges({ client, changes }: FullClient): Promise<readonly string[]> {
  await client.callTool({ name: 'test_trigger_tool_change' });
  await waitUntil(() => changes.includes('tools'), { what: 'the news of changed tools' });
  await client.callTool({ name: 'test_trigger_prompt_change' });
  await waitUntil(() => changes.includes('prompts'), { what: 'the news of changed prompts' });
  return [...changes];
}

const REACHED: readonly { mode: VersionNegotiationMode; revision: string; transport: UpstreamTransport | ModernTransport }[] = [
  { mode: 'auto', revision: NEWEST, transport: 'http' },
  { mode: { pin: NEWEST }, revision: NEWEST, transport: 'http' },
  { mode: 'legacy', revision: '2025-11-25', transport: 'http' },
  { mode: 'legacy', revision: '2025-11-25', transport: 'stdio' },
  { mode: 'legacy', revision: '2025-11-25', transport: 'websocket' },
  { mode: 'legacy', revision: '2025-11-25', transport: 'sse' },
  { mode: 'legacy', revision: '2025-11-25', transport: 'http, modern only' },
  { mode: 'legacy', revision: '2025-11-25', transport: 'stdio, modern only' },
];

describe.each(REACHED)('a client of SDK 2 ($mode), in front of a server over $transport', ({ mode, revision, transport }) => {
  let direct: FullClient;
  let via: FullClient;

  beforeAll(async () => {
    direct = await connectFull(await fixtureOverHttp(), mode);
    via = await connectFull(await gatewayInFront(transport), mode);
  });

  it('sees through the gateway what it sees directly, and answers what it is asked', async () => {
    const seen = await survey(via);
    expect(seen).toEqual(await survey(direct));
    expect(seen).toMatchObject({ revision, progress: { length: 3 } });
    expect(JSON.stringify(seen['asked'])).toContain('Your favorite color is my color');
    expect([via.errors, via.logs]).toEqual([[], []]);
  });

  it('is told of changed lists', async () => {
    expect(await toldOfChanges(via)).toEqual(['tools', 'prompts']);
  });
});
