import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { beforeAll, describe, expect, it } from 'vitest';
import { keyEntry, makeKey, rpc, startGateway, toolCall, waitUntil, type Gateway } from './harness.ts';
import { everythingOverStdio, sdkServerOverStdio } from './peer-servers.ts';
import { CLIENTS, connectV1, type Connect } from './peers.ts';

const [full, narrow, none, elsewhere, slow, expired] = Array.from({ length: 6 }, makeKey) as [Key, Key, Key, Key, Key, Key];
type Key = ReturnType<typeof makeKey>;

const wide = { rate_limit: 10_000, burst: 10_000 };
let gateway: Gateway;

beforeAll(async () => {
  gateway = await startGateway({
    config: {
      auth: {
        api_keys: [
          keyEntry('full', full, wide),
          keyEntry('narrow', narrow, { ...wide, allowed_tools: ['get-*', 'echo'], denied_tools: ['get-env', '*image*'] }),
          keyEntry('none', none, { ...wide, allowed_tools: [] }),
          keyEntry('elsewhere', elsewhere, { ...wide, servers: ['other'] }),
          keyEntry('slow', slow, { rate_limit: 2, burst: 6 }),
          keyEntry('expired', expired, { expires_at: '2020-01-01' }),
        ],
      },
      upstream: {
        servers: [
          { name: 'everything', ...everythingOverStdio() },
          { name: 'other', ...sdkServerOverStdio() },
          { name: 'missing', command: 'no-such-command', required: false },
        ],
      },
    },
  });
});

interface Seen {
  readonly method: string;
  readonly path: string;
  readonly status: number;
}

/** Lets a test see what goes over the wire. */
function spy(seen: Seen[]): typeof fetch {
  return async (input, init) => {
    const answer = await fetch(input, init);
    const { pathname } = new URL(input instanceof Request ? input.url : input);
    seen.push({ method: init?.method ?? 'GET', path: pathname, status: answer.status });
    return answer;
  };
}

function at(key: Key, server = 'everything'): { url: string; key: string } {
  return { url: `${gateway.mcp}/${server}`, key: key.key };
}

/** What the program that uses the client gets to know: a status somewhere, and the text. */
async function failure(work: Promise<unknown>): Promise<{ status: unknown; message: string }> {
  const error = (await work.then(
    () => new Error('no failure'),
    (reason: unknown) => reason,
  )) as Error & { code?: unknown; data?: { status?: number } };
  return { status: error.data?.status ?? error.code, message: error.message };
}

async function auditOf(message: string): Promise<Readonly<Record<string, unknown>>> {
  const errorId = /"error_id":"([0-9a-f-]{36})"/.exec(message)?.[1];
  expect(errorId).toBeDefined();
  return await waitUntil(async () => (await gateway.auditLines()).find((line) => line['error_id'] === errorId), { what: 'its record' });
}

describe.each(CLIENTS)('%s', (_name, connect: Connect) => {
  it('sees a denied tool as 403 with an error_id that the audit trail explains, and goes on working', async () => {
    const peer = await connect(at(narrow));
    const refused = await failure(peer.callTool({ name: 'get-env' }));
    expect(refused).toMatchObject({ status: 403, message: expect.stringContaining('"code":-31403,"message":"Not authorized"') as string });
    expect(refused.message).not.toContain('get-env');
    expect(await auditOf(refused.message)).toMatchObject({ identity: 'narrow', tool: 'get-env', reason: 'tool_denied', decision: 'deny' });
    expect(await peer.callTool({ name: 'echo', arguments: { message: 'still here' } })).toMatchObject({
      content: [{ text: 'Echo: still here' }],
    });
  });

  it('is shown exactly the tools that it may call', async () => {
    const [all, some, nothing] = [await connect(at(full)), await connect(at(narrow)), await connect(at(none))];
    const names = (await all.client.listTools()).tools.map(({ name }) => name);
    const shown = (await some.client.listTools()).tools;
    expect(shown).toEqual((await all.client.listTools()).tools.filter((tool) => shown.some(({ name }) => name === tool.name)));
    expect((await nothing.client.listTools()).tools).toEqual([]);
    for (const name of names.filter((tool) => !tool.startsWith('trigger-') && !tool.startsWith('simulate-'))) {
      const { status } = await failure(some.callTool({ name, arguments: {} }));
      expect([name, status === 403]).toEqual([name, !shown.some((tool) => tool.name === name)]);
    }
  });

  it('shows a wrong, expired, foreign-looking or missing key as 401, and nothing of the key', async () => {
    const wrong = makeKey().key;
    for (const key of [wrong, expired.key, 'eyJhbGciOiJub25lIn0.e30.', undefined]) {
      const refused = await failure(connect({ url: gateway.mcp, ...(key !== undefined && { key }) }));
      expect(refused).toMatchObject({ status: 401, message: expect.stringMatching(/"code":-31401|requires authorization/) as string });
      if (key !== undefined) expect(refused.message).not.toContain(key);
    }
  });

  it('cannot connect to a server that is not its own, to one that does not exist, or to one that is down', async () => {
    expect(await failure(connect(at(elsewhere)))).toMatchObject({
      status: 403,
      message: expect.stringMatching(/-31403|denied access/) as string,
    });
    expect(await failure(connect(at(full, 'nowhere')))).toMatchObject({ status: 404 });
    expect(await failure(connect(at(full, 'missing')))).toMatchObject({
      status: 503,
      message: expect.not.stringContaining('no-such') as string,
    });
    const refused = await rpc(at(full, 'missing').url, toolCall('echo'), { key: full.key });
    expect(refused.status).toBe(503);
    expect(await auditOf(refused.body)).toMatchObject({
      reason: 'upstream_unavailable',
      detail: expect.stringContaining('no-such-command') as string,
    });
    expect((await (await connect(at(elsewhere, 'other'))).client.listTools()).tools[0]).toMatchObject({ name: 'add' });
  });

  it('asks for a standing stream, gets 405, and works without; it leaves nothing to end', async () => {
    const seen: Seen[] = [];
    const peer = await connect({ ...at(full), fetch: spy(seen) });
    await waitUntil(() => seen.some(({ method }) => method === 'GET'), { what: 'the GET' });
    expect(seen.filter(({ method }) => method === 'GET')).toMatchObject([{ status: 405 }]);
    await peer.client.ping();
    await peer.client.close();
    expect(peer.errors).toEqual([]);
    expect(seen.some(({ method }) => method === 'DELETE')).toBe(false);
  });

  it('shows a message that is too large as 413, and goes on working', async () => {
    const peer = await connect(at(full));
    const refused = await failure(peer.callTool({ name: 'echo', arguments: { message: 'x'.repeat(1_100_000) } }));
    expect(refused).toMatchObject({ status: 413, message: expect.stringContaining('Request body too large') as string });
    expect(await peer.client.ping()).toEqual({});
  });
});

describe('a client whose server dies under it', () => {
  it.each(CLIENTS)('%s is told at once, and goes on with the next one without a new handshake', async (_name, connect) => {
    const peer = await connect(at(full, 'other'));
    const waiting = failure(peer.callTool({ name: 'wait', arguments: { ms: 20_000 } }));
    const told = await failure(peer.callTool({ name: 'exit' }));
    expect([told, await waiting]).toMatchObject([{ status: 502 }, { status: 502 }]);
    expect(await auditOf(told.message)).toMatchObject({ event_type: 'upstream_error', tool: 'exit', server: 'other' });
    const again = await waitUntil(async () => await peer.callTool({ name: 'add', arguments: { a: 1, b: 1 } }).catch(() => null), {
      what: 'the next child',
    });
    expect(again).toMatchObject({ structuredContent: { sum: 2 } });
  });
});

describe('a limited client', () => {
  it('is told 429 with the seconds to wait, and is served after them', async () => {
    const peer = await connectV1(at(slow));
    const refusals: string[] = [];
    for (let call = 0; call < 8; call++) {
      const { status, message } = await failure(peer.client.ping());
      if (status === 429) refusals.push(message);
    }
    expect(refusals.length).toBeGreaterThan(1);
    expect(refusals[0]).toMatch(
      /"id":\d+,"error":\{"code":-31429,"message":"Rate limit exceeded","data":\{"error_id":"[^"]+","retry_after":1\}/,
    );
    await waitUntil(async () => await peer.client.ping().catch(() => null), { what: 'to be served again' });
  });
});

describe('a client that believes in a session', () => {
  it('ends it with DELETE, and gets 404', async () => {
    const seen: Seen[] = [];
    const headers = { authorization: `Bearer ${full.key}` };
    const transport = new StreamableHTTPClientTransport(new URL(at(full).url), {
      sessionId: 'made-up',
      requestInit: { headers },
      fetch: spy(seen),
    });
    await new Client({ name: 'peer', version: '1' }).connect(transport as Parameters<Client['connect']>[0]);
    await expect(transport.terminateSession()).rejects.toMatchObject({ code: 404 });
    expect(seen).toEqual([{ method: 'DELETE', path: '/mcp/everything', status: 404 }]);
    await transport.close();
  });
});

describe('a client that would log in by OAuth', () => {
  it('finds no authorization server, and gives up after one attempt', async () => {
    const seen: Seen[] = [];
    const metadata = { redirect_uris: ['http://127.0.0.1:1/callback'], client_name: 'peer' };
    const transport = new StreamableHTTPClientTransport(new URL(gateway.mcp), {
      fetch: spy(seen),
      authProvider: {
        redirectUrl: metadata.redirect_uris[0] ?? '',
        clientMetadata: metadata,
        clientInformation: () => undefined,
        saveClientInformation: () => undefined,
        tokens: () => undefined,
        saveTokens: () => undefined,
        redirectToAuthorization: () => expect.unreachable('there is nowhere to go'),
        saveCodeVerifier: () => undefined,
        codeVerifier: () => '',
      },
    });
    const client = new Client({ name: 'peer', version: '1' });
    await expect(client.connect(transport as Parameters<Client['connect']>[0])).rejects.toBeInstanceOf(Error);
    expect(seen.slice(0, 2)).toEqual([
      { method: 'POST', path: '/mcp', status: 401 },
      { method: 'GET', path: '/.well-known/oauth-protected-resource/mcp', status: 200 },
    ]);
    expect(new Set(seen.slice(2).map(({ status }) => status))).toEqual(new Set([404]));
    expect(seen.length).toBeLessThan(10);
  });
});
