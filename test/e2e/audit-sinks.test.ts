import { chmod, mkdir, readdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import type { AuditLine } from './records.ts';
import {
  http,
  keyEntry,
  makeKey,
  rpc,
  rpcRequest,
  runCli,
  startGateway,
  startHttpUpstream,
  tempDir,
  toolCall,
  waitUntil,
  wildUpstream,
  type Gateway,
  type HttpUpstream,
} from './harness.ts';

const KEY = makeKey();
const ADMIN = makeKey();
const FILE = 'mcp-guard-audit.jsonl';
const auth = { api_keys: [keyEntry('alice', KEY), keyEntry('root', ADMIN, { roles: ['admin'] })] };
const rate_limit = { enabled: false };

let upstream: HttpUpstream;
beforeAll(async () => {
  upstream = await startHttpUpstream();
});

function configWith(audit: Readonly<Record<string, unknown>>, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { auth, rate_limit, audit, upstream: { transport: 'http', url: upstream.url, allow_private_networks: true }, ...more };
}

function parseLines(text: string): AuditLine[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as AuditLine);
}

/** Sends one call and ends the gateway, so that everything is written. */
async function callAndStop(gateway: Gateway): Promise<void> {
  expect((await rpc(gateway.mcp, toolCall('echo'), { key: KEY.key })).status).toBe(200);
  expect(await gateway.stop()).toEqual({ code: 0, signal: null });
}

async function modeOf(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o7777).toString(8);
}

const EVENTS = ['auth_success', 'tool_call', 'tool_response'];
const eventsOf = (lines: readonly AuditLine[]): unknown[] => lines.map(({ event_type }) => event_type);

describe('where the trail goes', () => {
  it('row 201: by default into a file of mode 0600 beside the configuration, and not to stdout', async () => {
    const gateway = await startGateway({ config: configWith({}) });
    await callAndStop(gateway);
    expect(eventsOf(await gateway.auditLines())).toEqual(EVENTS);
    expect(await modeOf(join(gateway.dir, FILE))).toBe('600');
    expect(gateway.stdout()).not.toContain('"event_type"');
    expect(parseLines(gateway.stdout())).toEqual([]);
  });

  it('row 201: to stdout alone, behind the banner, when asked for and no file is named', async () => {
    const gateway = await startGateway({ config: configWith({ stdout: true, file: '' }) });
    await callAndStop(gateway);
    expect(eventsOf(parseLines(gateway.stdout()))).toEqual(EVENTS);
    expect(await readdir(gateway.dir)).toEqual(['mcp-guard.json']);
    expect(gateway.stderr()).not.toContain('tool_response');
  });

  it('row 201: to both, the same lines in the same order, from two workers as well', async () => {
    const gateway = await startGateway({ config: configWith({ stdout: true, file: 'logs.jsonl' }, { server: { workers: 2 } }) });
    await Promise.all(Array.from({ length: 40 }, (_, id) => rpc(gateway.mcp, toolCall('echo', {}, id), { key: KEY.key })));
    await gateway.stop();
    const text = await readFile(join(gateway.dir, 'logs.jsonl'), 'utf8');
    expect(gateway.stdout().endsWith(text)).toBe(true);
    expect(parseLines(text).filter(({ event_type }) => event_type === 'tool_response')).toHaveLength(40);
  });

  it.each([{ enabled: false, stdout: true }, { file: '' }])(
    'row 201: nowhere with %j, and the gateway works all the same',
    async (audit) => {
      const gateway = await startGateway({ config: configWith(audit) });
      await callAndStop(gateway);
      expect(parseLines(gateway.stdout())).toEqual([]);
      expect(await readdir(gateway.dir)).toEqual(['mcp-guard.json']);
    },
  );

  it('row 201: a restart continues the file; one that others could read is made private, with a warning', async () => {
    const dir = await tempDir();
    await callAndStop(await startGateway({ config: configWith({}), dir }));
    await chmod(join(dir, FILE), 0o644);
    const gateway = await startGateway({ config: configWith({}), dir });
    expect(await modeOf(join(dir, FILE))).toBe('600');
    expect(gateway.stderr()).toContain('0600');
    await callAndStop(gateway);
    expect(eventsOf(await gateway.auditLines())).toEqual([...EVENTS, ...EVENTS]);
  });

  it('row 201: a file that cannot be one is a start failure that names it', async () => {
    const dir = await tempDir();
    await mkdir(join(dir, 'folder'));
    await writeFile(join(dir, 'target'), 'precious\n');
    await symlink(join(dir, 'target'), join(dir, 'link'));
    for (const file of ['folder', 'link', 'no/such/folder/audit.jsonl', '/dev/full']) {
      await writeFile(join(dir, 'mcp-guard.json'), JSON.stringify(configWith({ file }, { server: { workers: 1, port: 0 } })));
      const { code, stdout, stderr } = await runCli(['run', '-c', 'mcp-guard.json'], { cwd: dir });
      expect([file, code, stdout]).toEqual([file, 1, '']);
      expect(stderr).toMatch(/audit.file/);
    }
    expect(await readFile(join(dir, 'target'), 'utf8')).toBe('precious\n');
  });
});

describe('redaction', () => {
  const SECRET = 'plain-looking-value-17';
  const PLANTED = makeKey().key;
  let gateway: Gateway;
  /** Everything that the gateway wrote or shows, by name. */
  async function sinks(): Promise<readonly (readonly [string, string])[]> {
    const shown = async (path: string): Promise<string> => (await http('GET', gateway.url + path, { key: ADMIN.key })).body;
    return [
      ['file', await readFile(join(gateway.dir, FILE), 'utf8')],
      ['stdout', gateway.stdout()],
      ['log', gateway.stderr()],
      ['routes', await shown('/routes')],
      ['metrics', await shown('/metrics')],
    ];
  }

  beforeAll(async () => {
    gateway = await startGateway({
      config: {
        auth,
        rate_limit,
        audit: {
          stdout: true,
          redaction_rules: [
            { name: 'ticket', pattern: 'TICKET-[0-9]+', replacement: '[ticket]' },
            { name: 'card', pattern: '(card )[0-9]{12}([0-9]{4})', replacement: '$1…$2' },
          ],
        },
        logging: { format: 'json' },
        upstream: {
          servers: [
            { name: 'wild', transport: 'stdio', ...wildUpstream(), env: { SERVICE_TOKEN: SECRET, COLOUR: 'turquoise' } },
            { name: 'remote', transport: 'http', url: upstream.url, allow_private_networks: true, headers: { 'X-Api-Key': `${SECRET}-b` } },
          ],
        },
      },
      args: ['-vv'],
    });
  });

  it('row 203: rules and known credentials apply to whatever a client sends, in every sink', async () => {
    for (const text of [`see TICKET-4711 and card 123456789012${3456}`, `key ${PLANTED}`, `the ${SECRET} of it`, `${SECRET}-b`]) {
      await rpc(`${gateway.mcp}/wild`, toolCall(text), { key: KEY.key });
      await rpc(`${gateway.mcp}/remote`, rpcRequest('resources/read', { uri: `file:///${text}` }), { key: KEY.key });
      await rpc(`${gateway.mcp}/remote`, rpcRequest(text), { key: KEY.key });
    }
    await waitUntil(
      async () => (await gateway.auditLines()).some(({ method }) => String(method).includes('[redacted]-b') || method === '[redacted]'),
      {
        what: 'the last records',
      },
    );
    for (const [name, text] of await sinks()) {
      for (const secret of ['TICKET-4711', '1234567890123456', PLANTED, SECRET])
        expect(text.includes(secret), `${secret} in ${name}`).toBe(false);
    }
    const file = await readFile(join(gateway.dir, FILE), 'utf8');
    expect(file).toContain('see [ticket] and card …3456');
    expect(gateway.stdout()).toContain('see [ticket] and card …3456');
    expect(gateway.stderr()).toContain('see [ticket] and card …3456');
  });

  it('row 203: what stands under a secret’s name is hidden at any depth and in any notation', async () => {
    const hidden = (index: number): string => `hideme-${index}-`;
    const lines = [
      `{"a":{"b":[{"c":{"password":"${hidden(0)}"}}]}}`,
      `{"client_secret": "${hidden(1)}", "name": "visible-1"}`,
      `{"outer":"{\\"apiKey\\":\\"${hidden(2)}\\",\\"x\\":\\"visible-2\\"}"}`,
      `{"Authorization":"Bearer ${hidden(3)}abcdef"}`,
      `password=${hidden(4)}`,
      `API_KEY='${hidden(5)}'`,
      `Authorization: Basic ${hidden(6)}abcdef`,
      `Cookie: a=${hidden(7)}; b=${hidden(8)}`,
      `https://user:${hidden(9)}@host/path`,
      `connect token = "${hidden(10)}" ok`,
      `{"refresh_token":"${hidden(11)}"}`,
      `{"authorization":["${hidden(12)}"],"cookie":"${hidden(13)}"}`,
      `{"password":  "${hidden(14)} with spaces and \\"quotes\\" ${hidden(15)}"}`,
      `password: ${hidden(16)}`,
      `{'secret': '${hidden(17)}'}`,
      `--password ${hidden(18)}`,
      `x-api-key: ${hidden(19)}`,
      `{"pin":1,"secret":8${'4'.repeat(12)}}`,
    ];
    expect((await rpc(`${gateway.mcp}/wild`, toolCall('stderr', { lines }), { key: KEY.key })).status).toBe(200);
    await waitUntil(() => gateway.stderr().split('"msg":"upstream stderr"').length > lines.length, { what: 'the log lines' });
    for (const [name, text] of await sinks()) {
      const shown = Array.from({ length: 20 }, (_, index) => hidden(index)).filter((secret) => text.includes(secret));
      expect([name, shown, text.includes('4'.repeat(12))]).toEqual([name, [], false]);
    }
    expect(gateway.stderr()).toContain('visible-1');
  });

  it('row 203: credentials of the gateway for its servers are hidden when a child prints them, other settings are not', async () => {
    const lines = [`env dump: SERVICE=${SECRET}`, `colour turquoise`, Buffer.from('x').toString('base64')];
    await rpc(`${gateway.mcp}/wild`, toolCall('stderr', { lines }), { key: KEY.key });
    await waitUntil(() => gateway.stderr().includes('turquoise'), { what: 'the log lines' });
    for (const [name, text] of await sinks()) expect(text.includes(SECRET), name).toBe(false);
    expect((await sinks()).find(([name]) => name === 'routes')?.[1]).toContain('env dump: SERVICE=[redacted]');
  });

  it('row 203: a rule that is no linear-time expression, or that would replace everything, stops the start', async () => {
    const dir = await tempDir();
    for (const pattern of ['(a', '(a)\\1', 'a*']) {
      const audit = { redaction_rules: [{ name: 'bad-one', pattern }] };
      await writeFile(join(dir, 'mcp-guard.json'), JSON.stringify(configWith(audit)));
      const { code, stderr } = await runCli([pattern === '(a' ? 'run' : 'validate', '-c', 'mcp-guard.json'], { cwd: dir });
      expect([pattern, code]).toEqual([pattern, 1]);
      expect(stderr).toContain('redaction_rules');
    }
  });
});

describe('rotation', () => {
  const PUT_ASIDE = /^mcp-guard-audit\.jsonl\.\d{8}T\d{6}\.\d{3}Z(\.gz)?$/;

  async function putAside(gateway: Gateway): Promise<string[]> {
    return (await readdir(gateway.dir)).filter((name) => name.startsWith(`${FILE}.`)).toSorted();
  }

  /** All files of the trail, oldest first. */
  async function texts(gateway: Gateway): Promise<string[]> {
    return await Promise.all(
      [...(await putAside(gateway)), FILE].map(async (name) => {
        const bytes = await readFile(join(gateway.dir, name));
        return name.endsWith('.gz') ? gunzipSync(bytes).toString('utf8') : bytes.toString('utf8');
      }),
    );
  }

  async function load(gateway: Gateway, calls: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 10 });
    const workers = Array.from({ length: 10 }, async (_, lane) => {
      for (let i = lane; i < calls; i += 10)
        expect((await rpc(gateway.mcp, toolCall(`tool_${i}`, {}, i), { key: KEY.key, agent })).status).toBe(200);
    });
    await Promise.all(workers);
    agent.destroy();
  }

  it.each([true, false])('row 205: by size, under load from two workers, compressed: %s: no line is lost or split', async (compress) => {
    const audit = { rotation: { max_size_mb: 0.015, keep: 1000, compress } };
    const gateway = await startGateway({ config: configWith(audit, { server: { workers: 2 } }) });
    await load(gateway, 300);
    expect((await gateway.stop()).code).toBe(0);
    const names = await putAside(gateway);
    expect(names.length).toBeGreaterThan(5);
    for (const name of names) {
      expect(name).toMatch(PUT_ASIDE);
      expect(name.endsWith('.gz')).toBe(compress);
      expect(await modeOf(join(gateway.dir, name))).toBe('600');
    }
    const files = await texts(gateway);
    for (const text of files) {
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(0.015 * 1024 * 1024);
      if (text !== '') expect(text.endsWith('\n')).toBe(true);
    }
    const lines = files.flatMap(parseLines);
    expect(lines).toHaveLength(files.join('').split('\n').length - 1);
    for (const worker of [0, 1]) {
      const seqs = lines.filter((line) => line['worker'] === worker).map(({ seq }) => seq);
      expect(seqs).toEqual(seqs.map((_, index) => index + 1));
    }
    const tools = lines.filter(({ event_type }) => event_type === 'tool_response').map(({ tool }) => tool);
    expect(new Set(tools)).toEqual(new Set(Array.from({ length: 300 }, (_, i) => `tool_${i}`)));
    expect(tools).toHaveLength(300);
  });

  it('row 205: keeps the newest files that it is told to keep, and no other', async () => {
    const gateway = await startGateway({ config: configWith({ rotation: { max_size_mb: 0.01, keep: 3 } }) });
    const strangers = [`${FILE}.bak`, `${FILE}.20200101T000000.000Z.txt`];
    for (const name of strangers) await writeFile(join(gateway.dir, name), 'not ours\n');
    await load(gateway, 200);
    await gateway.stop();
    const names = (await putAside(gateway)).filter((name) => !strangers.includes(name));
    expect(names).toHaveLength(3);
    expect((await putAside(gateway)).filter((name) => strangers.includes(name))).toEqual(strangers.toSorted());
    const kept = await Promise.all(names.map(async (name) => gunzipSync(await readFile(join(gateway.dir, name))).toString('utf8')));
    const lines = [...kept, await readFile(join(gateway.dir, FILE), 'utf8')].flatMap(parseLines);
    const seqs = lines.map(({ seq }) => Number(seq));
    // The newest, without a hole.
    expect(seqs).toEqual(seqs.map((_, index) => (seqs[0] ?? 0) + index));
    expect(lines.filter(({ event_type }) => event_type === 'tool_response').length).toBeGreaterThan(20);
  });

  it('row 205: by age, also when nothing more is written', async () => {
    const gateway = await startGateway({ config: configWith({ rotation: { max_age_hours: 0.0004, compress: true } }) });
    await rpc(gateway.mcp, toolCall('old'), { key: KEY.key });
    const [name = ''] = await waitUntil(
      async () => ((await putAside(gateway)).some((one) => one.endsWith('.gz')) ? putAside(gateway) : null),
      {
        what: 'the file put aside',
        timeoutMs: 10_000,
      },
    );
    const old = gunzipSync(await readFile(join(gateway.dir, name))).toString('utf8');
    expect(parseLines(old).at(-1)).toMatchObject({ event_type: 'tool_response', tool: 'old' });
    await rpc(gateway.mcp, toolCall('new'), { key: KEY.key });
    await gateway.stop();
    const lines = (await texts(gateway)).flatMap(parseLines);
    expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, index) => index + 1));
    expect(lines.at(-1)).toMatchObject({ tool: 'new' });
  });

  it('row 205: a file moved away by somebody else’s rotation is continued in a new one', async () => {
    const gateway = await startGateway({ config: configWith({}) });
    await rpc(gateway.mcp, toolCall('before'), { key: KEY.key });
    await waitUntil(async () => (await gateway.auditLines()).length === 3, { what: 'the first records' });
    await rename(join(gateway.dir, FILE), join(gateway.dir, 'moved.jsonl'));
    await waitUntil(
      async () => {
        await rpc(gateway.mcp, toolCall('after'), { key: KEY.key });
        return (await gateway.auditLines()).length > 0;
      },
      { what: 'the new file' },
    );
    await gateway.stop();
    const all = (await Promise.all(['moved.jsonl', FILE].map((name) => gateway.auditLines(name)))).flat();
    expect(all.map(({ seq }) => seq)).toEqual(all.map((_, index) => index + 1));
    expect(await modeOf(join(gateway.dir, FILE))).toBe('600');
  });
});
