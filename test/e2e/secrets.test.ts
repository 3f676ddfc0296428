import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Gateway,
  type HttpAnswer,
  type HttpUpstream,
  http,
  keyEntry,
  makeKey,
  rawExchange,
  readRecord,
  recordsOf,
  rpc,
  rpcRequest,
  startGateway,
  startHttpUpstream,
  stdioUpstream,
  tempDir,
  toolCall,
  toolText,
} from './harness.ts';

/** Recognisable nowhere but in full: a secret without a shape. */
function canary(name: string): string {
  return `canary${name}${randomBytes(9).toString('hex')}`;
}

const user = makeKey();
const admin = makeKey();
const adminToken = makeKey();
const unknown = makeKey();

/** What clients present; none of it may be seen outside of the request that carries it. */
const CLIENT = {
  user: user.key,
  admin: admin.key,
  adminToken: adminToken.key,
  unknown: unknown.key,
  jwt: `eyJhbGciOiJIUzI1NiJ9.${Buffer.from('{"sub":"mallory"}').toString('base64url')}.${randomBytes(24).toString('base64url')}`,
  basic: Buffer.from(`mallory:${canary('Basic')}`).toString('base64'),
  opaque: canary('Opaque'),
  xApiKey: canary('XApiKey'),
  cookie: canary('Cookie'),
  proxy: canary('Proxy'),
};
/** Without a shape: nobody could know them for secrets in a path or a name, so they are placed in headers only. */
const SHAPELESS = ['opaque', 'xApiKey', 'cookie', 'proxy', 'basic'] as const;

/** What the gateway itself holds. */
const HELD = {
  headerToken: canary('HeaderToken'),
  headerKey: canary('HeaderKey'),
  childToken: canary('ChildToken'),
  childPassword: canary('ChildPassword'),
  argument: canary('Argument'),
  unused: canary('Unused'),
  userHash: user.hash,
  adminTokenHash: adminToken.hash,
};

describe.each(['uws', 'node'] as const)('secrets (%s)', (engine) => {
  let http1: HttpUpstream;
  let recordFile: string;
  let gateway: Gateway;
  const bodies: string[] = [];

  beforeAll(async () => {
    // Shows everything it was sent wherever it can: in errors of every kind, in headers and in what it says is wrong.
    http1 = await startHttpUpstream({
      answer: ({ message, headers }) => {
        const { name } = (message['params'] ?? {}) as { readonly name?: string };
        const told = JSON.stringify(headers);
        const own = {
          'www-authenticate': `Bearer realm="${headers.authorization}"`,
          'set-cookie': `s=${headers['x-api-key']}`,
          location: `/${headers['x-api-key']}`,
        };
        switch (name) {
          case 'status':
            return { status: 500, headers: own, body: told };
          case 'unauthorized':
            return { status: 401, headers: own, body: told };
          case 'redirect':
            return { status: 302, headers: own, body: told };
          case 'garbage':
            return { headers: { 'content-type': 'application/json' }, body: told };
          case 'type':
            return { headers: { 'content-type': `text/${headers['x-api-key']}` }, body: told };
          case 'stream':
            return { events: [told], isDropped: true };
          case 'ok':
            return { headers: own, body: { jsonrpc: '2.0', id: message['id'], result: { content: [] } } };
          default:
            return undefined;
        }
      },
    });
    recordFile = join(await tempDir(), 'record');
    gateway = await startGateway({
      args: ['-vv'],
      env: {
        CHILD_TOKEN: HELD.childToken,
        HEADER_TOKEN: HELD.headerToken,
        MCP_GUARD_NOTHING_KNOWN: HELD.unused,
        UNUSED_SECRET: HELD.unused,
      },
      config: {
        server: { engine, admin: { tokens: [adminToken.hash] } },
        auth: { api_keys: [keyEntry('user', user), keyEntry('admin', admin, { roles: ['admin'] })] },
        rate_limit: { enabled: false },
        audit: { stdout: true },
        upstream: {
          servers: [
            {
              name: 'web',
              transport: 'http',
              url: http1.url,
              allow_private_networks: true,
              headers: { Authorization: 'Bearer ${HEADER_TOKEN}', 'X-API-Key': HELD.headerKey },
            },
            {
              name: 'child',
              ...stdioUpstream({
                recordFile,
                stderr: [
                  `started with ${HELD.childToken}`,
                  `password=${HELD.childPassword}`,
                  `{"db_password":"${HELD.childPassword}"}`,
                  HELD.childPassword,
                ],
              }),
              env: { CHILD_TOKEN: '${CHILD_TOKEN}', DB_PASSWORD: HELD.childPassword, MODE: HELD.argument.slice(0, 5) },
            },
            { name: 'missing', transport: 'stdio', command: '/nowhere/at-all', args: ['--token', HELD.argument], required: false },
          ],
        },
      },
    });
  });

  const note = (answer: HttpAnswer): HttpAnswer => {
    // The id of a request goes back to who chose it.
    bodies.push(JSON.stringify({ ...answer.headers, 'x-request-id': '' }) + answer.body);
    return answer;
  };
  const ask = async (message: unknown, headers: Record<string, string | undefined>, path = '/mcp/web'): Promise<HttpAnswer> =>
    note(await rpc(gateway.url + path, message, { headers }));

  /** Every credential in every header a client can set, with a request that is served and with some that are not. */
  async function placeInHeaders(): Promise<void> {
    const good = {
      authorization: `Bearer ${CLIENT.user}`,
      cookie: `s=${CLIENT.cookie}`,
      'proxy-authorization': `Bearer ${CLIENT.proxy}`,
      'x-api-key': CLIENT.xApiKey,
    };
    for (const path of ['/mcp/web', '/mcp/child', '/mcp/missing', '/mcp/nowhere']) {
      for (const message of [
        toolCall('echo'),
        rpcRequest('tools/list'),
        rpcRequest('initialize'),
        '{',
        toolCall('echo', {}, 1, { progressToken: 1 }),
      ])
        await ask(message, good, path);
    }
    for (const scheme of ['Bearer', 'Basic', 'Digest', 'Token', '']) {
      for (const secret of Object.values(CLIENT)) await ask(toolCall('echo'), { ...good, authorization: `${scheme} ${secret}`.trim() });
    }
    const names = [
      'user-agent',
      'accept-language',
      'referer',
      'x-forwarded-for',
      'forwarded',
      'traceparent',
      'x-custom',
      'authorization2',
      'x-auth-token',
    ];
    for (const name of [
      ...names,
      'x-real-ip',
      'via',
      'mcp-session-id',
      'mcp-protocol-version',
      'mcp-method',
      'mcp-name',
      'mcp-custom',
      'last-event-id',
    ]) {
      await ask(toolCall('echo'), { ...good, [name]: `${CLIENT.unknown} ${CLIENT.opaque}` });
    }
    for (const name of ['origin', 'host', 'content-type', 'accept', 'expect', 'content-encoding', 'access-control-request-method'])
      await ask(toolCall('echo'), { ...good, [name]: CLIENT.opaque });
    await rawExchange(
      gateway.port,
      [`POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${CLIENT.opaque}\r\nAuthorization: Bearer ${CLIENT.user}\r\n\r\n`],
      {
        quietMs: 300,
      },
    );
    await rawExchange(
      gateway.port,
      [`POST /mcp HTTP/1.1\r\nHost: localhost\r\n${CLIENT.opaque}\r\nAuthorization Bearer ${CLIENT.user}\r\n\r\n`],
      { quietMs: 300 },
    );
  }

  /** Credentials that can be told by their shape, where no credential belongs. */
  async function placeElsewhere(): Promise<void> {
    const authorization = `Bearer ${CLIENT.user}`;
    const shaped = Object.entries(CLIENT).filter(([name]) => !SHAPELESS.some((one) => one === name));
    for (const [, secret] of shaped) {
      await ask(toolCall('echo'), {}, `/mcp/web?api_key=${secret}`);
      for (const path of [`/mcp/${secret}`, `/${secret}`, `/metrics?token=${secret}`, `/health/${secret}`]) {
        note(await http('GET', gateway.url + path, { headers: { authorization, 'x-request-id': secret } }));
        await ask(toolCall('echo'), { authorization }, path);
      }
      await ask(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${secret}"`, { authorization });
      await ask(rpcRequest(secret), { authorization });
      await ask({ jsonrpc: '2.0', method: `notifications/${secret}` }, { authorization }, '/mcp/missing');
      await ask(toolCall(secret), { authorization }, '/mcp/missing');
      await ask(rpcRequest('resources/read', { uri: `https://x/?key=${secret}` }), { authorization }, '/mcp/missing');
      await ask(toolCall('echo', { deep: { secret } }, 1), { authorization }, '/mcp/missing');
      await ask(rpcRequest('initialize', { clientInfo: { name: secret, version: secret } }), { authorization });
    }
    for (const name of ['status', 'unauthorized', 'redirect', 'garbage', 'type', 'stream', 'ok'])
      await ask(toolCall(name), { authorization });
    await ask(toolCall('crash'), { authorization }, '/mcp/child');
    for (const key of [CLIENT.admin, CLIENT.adminToken]) note(await http('GET', `${gateway.url}/routes`, { key }));
  }

  it('neither those of clients nor those of the gateway show in output, log, audit, metrics or answers', async () => {
    await placeInHeaders();
    await placeElsewhere();
    await recordsOf(gateway, 'last', CLIENT.user, `${gateway.mcp}/web`);
    const metrics = await http('GET', `${gateway.url}/metrics`, { key: CLIENT.adminToken });
    expect(metrics.status).toBe(200);
    const sinks = {
      stdout: gateway.stdout(),
      stderr: gateway.stderr(),
      audit: await readFile(join(gateway.dir, 'mcp-guard-audit.jsonl'), 'utf8'),
      metrics: metrics.body,
      answers: bodies.join('\n'),
    };
    expect(bodies.length).toBeGreaterThan(150);
    for (const [sink, text] of Object.entries(sinks)) {
      expect(text.length).toBeGreaterThan(1_000);
      for (const [name, secret] of [...Object.entries(CLIENT), ...Object.entries(HELD)]) {
        const at = text.indexOf(secret);
        expect([sink, name, at < 0 ? '' : text.slice(Math.max(at - 200, 0), at + 80)]).toEqual([sink, name, '']);
      }
    }
    // They were seen, and replaced; no line was left out.
    expect(sinks.stderr).not.toContain('too many refused requests');
    expect(sinks.stderr).toContain('started with [redacted]');
    expect(sinks.stderr).toContain('[redacted]');
    expect(sinks.audit).toContain('[redacted]');
  });

  it('no credential of a client reaches an upstream, whatever header it came in, and each upstream gets its own only', async () => {
    await placeInHeaders();
    const { messages } = await readRecord(recordFile);
    expect(messages.length).toBeGreaterThan(3);
    expect(http1.requests.length).toBeGreaterThan(10);
    const received = JSON.stringify(http1.requests) + JSON.stringify(messages);
    // What is placed in headers only; the others are also sent as names and arguments, which belong to the upstream.
    for (const name of [...SHAPELESS, 'user', 'adminToken', 'unknown'] as const) {
      const inHeaders = JSON.stringify(http1.requests.map(({ headers, rawHeaders, url }) => [headers, rawHeaders, url]));
      expect([name, inHeaders.includes(CLIENT[name])]).toEqual([name, false]);
    }
    for (const name of SHAPELESS) expect([name, received.includes(CLIENT[name])]).toEqual([name, false]);
    for (const { headers } of http1.requests) {
      expect(headers.authorization).toBe(`Bearer ${HELD.headerToken}`);
      expect(headers['x-api-key']).toBe(HELD.headerKey);
      expect(headers.cookie).toBeUndefined();
    }
    for (const secret of [HELD.childToken, HELD.childPassword, HELD.unused, HELD.argument, HELD.userHash, HELD.adminTokenHash])
      expect(received).not.toContain(secret);
    const child = await rpc(`${gateway.mcp}/child`, toolCall('env'), { key: CLIENT.user });
    const env = JSON.parse(toolText(child)) as Record<string, string>;
    expect(Object.keys(env).toSorted()).toEqual(['CHILD_TOKEN', 'DB_PASSWORD', 'HOME', 'LANG', 'MODE', 'PATH']);
    expect(env['CHILD_TOKEN']).toBe(HELD.childToken);
  });
});
