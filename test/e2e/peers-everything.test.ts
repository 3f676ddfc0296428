import { beforeAll, describe, expect, it } from 'vitest';
import { keyEntry, makeKey, startGateway } from './harness.ts';
import { everythingOverHttp, everythingOverSse, everythingOverStdio, everythingOverWebSocket } from './peer-servers.ts';
import { CLIENTS, connectV1, type CallOptions, type Peer, type Target } from './peers.ts';

const key = makeKey();

/** Texts of this server name the time of day, its process and its session; blobs are base64 of such texts. */
function timeless(value: unknown): unknown {
  const text = JSON.stringify(value, (_name, part: unknown) => {
    const isBlob = typeof part === 'object' && part !== null && 'blob' in part;
    return isBlob ? { ...part, blob: Buffer.from(String(part.blob), 'base64').toString() } : part;
  });
  return JSON.parse(
    text.replaceAll(/\d{1,2}:\d\d:\d\d( [AP]M)?/g, 'TIME').replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UUID'),
  );
}

async function failure(work: Promise<unknown>): Promise<unknown> {
  const error = await work.then(
    (value) => ({ message: `no failure: ${JSON.stringify(value)}` }),
    (reason: { code?: unknown; message: string; data?: unknown }) => reason,
  );
  return { ...('code' in error && { code: error.code }), message: error.message };
}

/** This server sends the last step together with the answer, and a client may take up the answer first, without a gateway too. */
function isLateProgress(message: string): boolean {
  return message.includes('progress notification for an unknown token');
}

/** Without the last step, for the same reason. */
async function progressOf(peer: Peer, steps: number): Promise<unknown> {
  const progress: unknown[] = [];
  const options: CallOptions = { onprogress: (step) => void progress.push(step) };
  const result = await peer.callTool({ name: 'trigger-long-running-operation', arguments: { duration: 0.2, steps } }, options);
  return { progress: progress.slice(0, steps - 1), result };
}

const CALLS = [
  { name: 'echo', arguments: { message: 'Grüße "\\\u2028 😀 \u0000' } },
  { name: 'get-sum', arguments: { a: 0.1, b: -1e21 } },
  { name: 'get-structured-content', arguments: { location: 'Chicago' } },
  { name: 'get-tiny-image', arguments: {} },
  { name: 'get-annotated-message', arguments: { messageType: 'error', includeImage: true } },
  { name: 'get-resource-links', arguments: { count: 10 } },
  { name: 'get-resource-reference', arguments: { resourceType: 'Blob', resourceId: 7 } },
  { name: 'get-sum', arguments: { a: 'no number' } },
  { name: 'no-such-tool', arguments: {} },
  { name: 'echo' },
];

/** All that this server can do and that is relayed, as one value. */
async function survey(peer: Peer): Promise<Readonly<Record<string, unknown>>> {
  const { client } = peer;
  const [{ tools }, { resources }, { prompts }] = [await client.listTools(), await client.listResources(), await client.listPrompts()];
  const ref = { type: 'ref/prompt', name: 'completable-prompt' } as const;
  return {
    server: client.getServerVersion(),
    instructions: client.getInstructions(),
    ping: await client.ping(),
    tools,
    resources,
    prompts,
    templates: await client.listResourceTemplates(),
    calls: timeless(await Promise.all(CALLS.map(async (call) => await peer.callTool(call)))),
    progress: await progressOf(peer, 4),
    contents: timeless(await Promise.all(resources.map(async ({ uri }) => await client.readResource({ uri })))),
    text: timeless(await client.readResource({ uri: 'demo://resource/dynamic/text/3' })),
    blob: timeless(await client.readResource({ uri: 'demo://resource/dynamic/blob/4' })),
    simple: await client.getPrompt({ name: 'simple-prompt' }),
    withArguments: await client.getPrompt({ name: 'args-prompt', arguments: { city: 'Zürich', state: 'ZH' } }),
    withResource: timeless(await client.getPrompt({ name: 'resource-prompt', arguments: { resourceType: 'Text', resourceId: '2' } })),
    completion: await client.complete({ ref, argument: { name: 'department', value: 'E' } }),
    inContext: await client.complete({ ref, argument: { name: 'name', value: '' }, context: { arguments: { department: 'Sales' } } }),
    failures: [
      await failure(client.readResource({ uri: 'demo://no/such' })),
      await failure(client.getPrompt({ name: 'no-such-prompt' })),
      await failure(client.getPrompt({ name: 'args-prompt', arguments: {} })),
      await failure(client.complete({ ref: { type: 'ref/prompt', name: 'none' }, argument: { name: 'a', value: '' } })),
    ],
  };
}

async function gatewayFor(upstream: Readonly<Record<string, unknown>>, workers: number): Promise<Target> {
  const auth = { api_keys: [keyEntry('peer', key, { rate_limit: 10_000, burst: 10_000 })] };
  const gateway = await startGateway({ config: { server: { workers }, auth, upstream } });
  return { url: gateway.mcp, key: key.key };
}

/** Clients share what is behind the gateway, or have a session of their own there. */
type Sharing = 'shared' | 'own';

const PLACES: readonly (readonly [string, Sharing, () => Promise<{ direct: Target; via: Target }>])[] = [
  [
    'over stdio, in one process',
    'shared',
    async () => ({ direct: everythingOverStdio(), via: await gatewayFor({ ...everythingOverStdio() }, 0) }),
  ],
  [
    'over HTTP, with two workers',
    'own',
    async () => {
      const url = await everythingOverHttp();
      return { direct: { url }, via: await gatewayFor({ transport: 'http', url, allow_private_networks: true }, 2) };
    },
  ],
  [
    'over HTTP+SSE, with two workers',
    'shared',
    async () => {
      const upstream = { transport: 'sse', url: await everythingOverSse(), allow_private_networks: true };
      return { direct: everythingOverStdio(), via: await gatewayFor(upstream, 2) };
    },
  ],
  [
    'over WebSocket, behind a bridge',
    'shared',
    async () => {
      const upstream = { transport: 'websocket', url: await everythingOverWebSocket(), allow_private_networks: true };
      return { direct: everythingOverStdio(), via: await gatewayFor(upstream, 0) };
    },
  ],
];

describe.each(PLACES)('the everything server %s', (_place, _sharing, start) => {
  let direct: Target;
  let via: Target;

  beforeAll(async () => {
    ({ direct, via } = await start());
  });

  it.each(CLIENTS)('answers %s through the gateway as it does directly', async (_name, connect) => {
    const [one, other] = [await connect(direct), await connect(via)];
    expect(await survey(other)).toEqual(await survey(one));
    expect(other.errors.filter(({ message }) => !isLateProgress(message))).toEqual([]);
  });

  it('keeps apart the answers and the progress of many clients that count their requests alike', async () => {
    const peers = await Promise.all(Array.from({ length: 12 }, async (_, index) => await CLIENTS[index % CLIENTS.length]?.[1](via)));
    const round = async (peer: Peer | undefined, index: number): Promise<void> => {
      if (peer === undefined) throw new Error('no client');
      const message = `client ${index} ${'é'.repeat(index * 100)}`;
      const [echo, sum, long] = await Promise.all([
        peer.callTool({ name: 'echo', arguments: { message } }),
        peer.callTool({ name: 'get-sum', arguments: { a: index, b: 1000 } }),
        progressOf(peer, index + 1),
      ]);
      expect(echo).toEqual({ content: [{ type: 'text', text: `Echo: ${message}` }] });
      expect(JSON.stringify(sum)).toContain(`${index + 1000}`);
      const total = index + 1;
      expect(long).toMatchObject({ progress: Array.from({ length: index }, (_, step) => ({ progress: step + 1, total })) });
    };
    await Promise.all(peers.map(round));
    await Promise.all(peers.map(round));
  });
});

function placesOf(sharing: Sharing): typeof PLACES {
  return PLACES.filter(([, one]) => one === sharing);
}

describe.each(placesOf('own'))('the everything server %s, with a session for each client', (_place, _sharing, start) => {
  let direct: Target;
  let via: Target;

  beforeAll(async () => {
    ({ direct, via } = await start());
  });

  it('offers the capabilities with their options, and all that they promise is relayed', async () => {
    const [one, other] = [await connectV1(direct), await connectV1(via)];
    const { tools, resources, prompts, completions, logging } = (one.client.getServerCapabilities() ?? {}) as Record<string, object>;
    expect(other.client.getServerCapabilities()).toEqual({ tools, resources, prompts, completions, logging });
    const uri = 'demo://resource/dynamic/text/1';
    for (const { client } of [one, other]) {
      expect(await client.setLoggingLevel('debug')).toEqual({});
      expect(await client.subscribeResource({ uri })).toEqual({});
      expect(await client.unsubscribeResource({ uri })).toEqual({});
    }
  });

  it.each(CLIENTS)('offers %s what needs the capabilities that it declared', async (_name, connect) => {
    const capabilities = { roots: { listChanged: true }, sampling: {} };
    const [one, other] = [await connect(direct, { capabilities }), await connect(via, { capabilities })];
    const [asked, alike] = [await one.client.listTools(), await other.client.listTools()];
    expect(alike.tools).toEqual(asked.tools);
    expect(alike.tools.map(({ name }) => name)).toEqual(expect.arrayContaining(['get-roots-list']));
  });
});

describe.each(placesOf('shared'))('the everything server %s, which all clients share', (_place, _sharing, start) => {
  let direct: Target;
  let via: Target;

  beforeAll(async () => {
    ({ direct, via } = await start());
  });

  it('offers the capabilities that are relayed, without their options', async () => {
    const [one, other] = [await connectV1(direct), await connectV1(via)];
    expect(Object.keys(one.client.getServerCapabilities() ?? {})).toEqual(expect.arrayContaining(['logging', 'tasks']));
    expect(other.client.getServerCapabilities()).toEqual({ tools: {}, resources: {}, prompts: {}, completions: {} });
  });

  it.each(CLIENTS)('tells %s that it has no such method where something is not relayed', async (_name, connect) => {
    const { client } = await connect(via);
    const uri = 'demo://resource/dynamic/text/1';
    const missing = { code: -32601 };
    await expect(client.setLoggingLevel('debug')).rejects.toMatchObject(missing);
    await expect(client.subscribeResource({ uri })).rejects.toMatchObject(missing);
    await expect(client.unsubscribeResource({ uri })).rejects.toMatchObject(missing);
    expect(await client.ping()).toEqual({});
  });

  it.each(CLIENTS)('does not let the server ask %s, which never hears of what needs that', async (_name, connect) => {
    const capabilities = { roots: { listChanged: true } };
    const [one, other] = [await connect(direct, { capabilities }), await connect(via, { capabilities })];
    const [asked, unasked] = [await one.client.listTools(), await other.client.listTools()];
    expect(unasked.tools).toEqual(asked.tools.filter(({ name }) => name !== 'get-roots-list'));
    expect(asked.tools.length - unasked.tools.length).toBe(1);
    await other.client.sendRootsListChanged();
    expect(await other.client.ping()).toEqual({});
  });
});
