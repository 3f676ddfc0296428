import { Client, StreamableHTTPClientTransport, type VersionNegotiationMode } from '@modelcontextprotocol/client';
import { afterAll } from 'vitest';

/** A client of SDK 2 that can be asked everything, and keeps what reached it beside its answers. */
export interface FullClient {
  readonly client: Client;
  /** Lists that it was told have changed. */
  readonly changes: readonly string[];
  /** The data of log messages. */
  readonly logs: readonly unknown[];
  readonly errors: readonly Error[];
}

const open = new Set<Client>();
afterAll(async () => {
  await Promise.allSettled([...open].map((client) => client.close()));
});

function answerQuestions(client: Client): void {
  client.setRequestHandler('elicitation/create', async ({ params }) => ({
    action: 'accept',
    content: Object.fromEntries(propertyNames(params).map((name) => [name, name === 'ok' ? true : `my ${name}`])),
  }));
  client.setRequestHandler('sampling/createMessage', async () => ({
    role: 'assistant',
    content: { type: 'text', text: 'a sampled answer' },
    model: 'test-model',
    stopReason: 'endTurn',
  }));
  client.setRequestHandler('roots/list', async () => ({ roots: [{ uri: 'file:///one', name: 'one' }, { uri: 'file:///two' }] }));
}

function propertyNames(params: object): string[] {
  const { requestedSchema } = params as { requestedSchema?: { properties: object } };
  return Object.keys(requestedSchema?.properties ?? {});
}

/** Connects, in the era that `mode` leads to; `key`: of the gateway's. */
export async function connectFull(url: string, mode: VersionNegotiationMode, key: string | null = null): Promise<FullClient> {
  const [changes, logs, errors] = [[] as string[], [] as unknown[], [] as Error[]];
  const tell = (list: string): { autoRefresh: boolean; debounceMs: number; onChanged: () => void } => ({
    autoRefresh: false,
    debounceMs: 0,
    onChanged: () => void changes.push(list),
  });
  const client = new Client(
    { name: 'full-client', version: '1.0.0' },
    {
      capabilities: { elicitation: {}, sampling: {}, roots: {} },
      versionNegotiation: { mode },
      listChanged: { tools: tell('tools'), prompts: tell('prompts') },
    },
  );
  answerQuestions(client);
  client.setNotificationHandler('notifications/message', ({ params }) => void logs.push(params.data));
  client.onerror = (error) => void errors.push(error);
  const headers = key === null ? {} : { authorization: `Bearer ${key}` };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
  open.add(client);
  return { client, changes, logs, errors };
}
