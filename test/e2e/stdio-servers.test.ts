import { mkdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  http,
  isAlive,
  keyEntry,
  makeKey,
  readRecord,
  rpc,
  rpcStream,
  runCli,
  startGateway,
  stdioUpstream,
  tempDir,
  toolCall,
  toolText,
  waitUntil,
  wildUpstream,
  type Gateway,
  type GatewayOptions,
  type HttpAnswer,
} from './harness.ts';

const KEY = makeKey();
const ADMIN = makeKey();
const auth = { api_keys: [keyEntry('alice', KEY), keyEntry('root', ADMIN, { roles: ['admin'] })] };
const rate_limit = { enabled: false };

async function startWith(upstream: unknown, options: GatewayOptions = {}): Promise<Gateway> {
  return await startGateway({ config: { auth, rate_limit, upstream }, ...options });
}

async function call(gateway: Gateway, name: string, args: unknown = {}, path = '/mcp'): Promise<HttpAnswer> {
  return await rpc(`${gateway.url}${path}`, toolCall(name, args), { key: KEY.key });
}

interface Child {
  readonly pid: number;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

async function childOf(gateway: Gateway, path = '/mcp'): Promise<Child> {
  return JSON.parse(toolText(await call(gateway, 'self', {}, path))) as Child;
}

async function metric(gateway: Gateway, line: string): Promise<number> {
  const { body } = await http('GET', `${gateway.url}/metrics`, { key: ADMIN.key });
  const found = body.split('\n').find((one) => one.startsWith(`${line} `));
  return found === undefined ? 0 : Number(found.slice(line.length + 1));
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}

/** Of the worker process: the one child of the primary that is no upstream. */
async function workerOf(gateway: Gateway): Promise<number> {
  const text = await readFile(`/proc/${gateway.pid}/task/${gateway.pid}/children`, 'utf8');
  return Number(text.trim().split(' ')[0]);
}

describe('a stdio server', () => {
  const args = [
    'a & b',
    '$HOME',
    '`id`',
    '$(id)',
    '{"json": "\'quoted\'"}',
    '; touch pwned',
    '*',
    '',
    '-x',
    'a\nb',
    'ü 😀',
    '%PATH%',
    '>out',
  ];
  const secrets = { MCP_GUARD_TEST_SECRET: 'outer-secret', AWS_SECRET_ACCESS_KEY: 'outer-aws', UPSTREAM_TOKEN: 'wanted', NODE_OPTIONS: '' };
  let gateway: Gateway;
  let child: Child;
  let cwd = '';

  beforeAll(async () => {
    cwd = await realpath(await tempDir());
    const wild = wildUpstream({}, args);
    // `${HOME}` in a configuration is a reference, `$HOME` is not.
    const env = { TOKEN: '${UPSTREAM_TOKEN}', EMPTY: '', LANG: 'de_DE.UTF-8' };
    gateway = await startWith({ ...wild, env, cwd }, { env: secrets });
    child = await childOf(gateway);
  });

  it('row 156: is spawned without a shell: every argument arrives as it is configured', async () => {
    expect(child.args).toEqual(args);
    const parents = await readFile(`/proc/${child.pid}/stat`, 'utf8');
    expect(Number(parents.slice(parents.lastIndexOf(')') + 2).split(' ')[1])).toBe(await workerOf(gateway));
  });

  it('row 159: only listed variables and PATH, HOME and LANG reach the child; secrets of the gateway do not', () => {
    const { PATH = '', HOME = '' } = process.env;
    // Node itself adds nothing to its environment.
    expect(child.env).toEqual({ PATH, HOME, LANG: 'de_DE.UTF-8', TOKEN: 'wanted', EMPTY: '' });
    expect(JSON.stringify(child.env)).not.toContain('outer');
    expect(child.cwd).toBe(cwd);
  });

  it('row 159: cwd is relative to the configuration file, not to where the gateway was started', async () => {
    const dir = await tempDir();
    await mkdir(join(dir, 'etc', 'sub'), { recursive: true });
    const other = await startWith({ ...wildUpstream(), cwd: 'sub' }, { dir, configName: 'etc/c.json' });
    expect((await childOf(other)).cwd).toBe(await realpath(join(dir, 'etc', 'sub')));
    await other.stop();
  });
});

describe('shells', () => {
  async function validate(upstream: unknown): Promise<{ code: number | null; text: string }> {
    const cwd = await tempDir();
    await writeFile(join(cwd, 'c.json'), JSON.stringify({ auth, upstream }));
    const { code, stdout, stderr } = await runCli(['validate', '-c', 'c.json'], { cwd });
    return { code, text: stdout + stderr };
  }

  it('row 157: sh and its kind are refused, also behind env, busybox and the like, and each error names the switch', async () => {
    const lines: readonly (readonly string[])[] = [
      ['sh', '-c', 'x'],
      ['bash', '-c', 'x'],
      ['/bin/bash'],
      ['/usr/bin/../bin/zsh'],
      ['./dash'],
      ['fish'],
      ['csh'],
      ['ksh93'],
      ['ash'],
      ['BASH'],
      ['cmd.exe', '/c', 'dir'],
      ['powershell'],
      ['pwsh'],
      ['env', 'bash'],
      ['/usr/bin/env', '-i', 'A=b', 'sh', '-c', 'x'],
      ['env', '-S', 'bash -c x'],
      ['env', '-Sbash -c x'],
      ['busybox', 'sh'],
      ['busybox', 'ash', '-c', 'x'],
      ['env', 'busybox', 'sh'],
      ['nohup', 'sh'],
      ['timeout', '5', 'bash'],
      ['setsid', '-w', 'sh'],
    ];
    const servers = lines.map(([command, ...args], index) => ({ name: `s${index}`, command, args }));
    const { code, text } = await validate({ servers });
    expect(code).toBe(1);
    for (const [index, line] of lines.entries())
      expect([line, text]).toEqual([line, expect.stringContaining(`upstream.servers[${index}].command`)]);
    expect(text.match(/allow_shell = true/g)).toHaveLength(lines.length);
  });

  it('row 157: programs that only look like one are not, and allow_shell permits', async () => {
    const lines = [['node', 'bash'], ['npx', '-y', 'bash-mcp'], ['shfmt'], ['my-bash'], ['env', 'node', 'server.js'], ['uvx', 'sh-server']];
    const servers = lines.map(([command, ...args], index) => ({ name: `s${index}`, command, args }));
    const allowed = { name: 'allowed', command: 'sh', args: ['-c', 'x'], allow_shell: true };
    expect(await validate({ servers: [...servers, allowed] })).toMatchObject({ code: 0 });
  });

  it('row 157: run refuses as well, starts nothing, and a shell under another name stays one', async () => {
    const dir = await tempDir();
    const flag = join(dir, 'ran');
    await expect(startWith({ command: 'sh', args: ['-c', `touch ${flag}`] })).rejects.toThrow(/"code":1[\s\S]*allow_shell = true/);
    await symlink('/bin/sh', join(dir, 'innocent'));
    const hidden = { name: 'hidden', required: false, command: join(dir, 'innocent'), args: ['-c', `touch ${flag}`] };
    const gateway = await startWith({ servers: [hidden, { name: 'good', ...stdioUpstream() }] });
    expect((await call(gateway, 'echo', {}, '/mcp/hidden')).status).toBe(503);
    expect((await call(gateway, 'echo', {}, '/mcp/good')).status).toBe(200);
    const routes = await http('GET', `${gateway.url}/routes`, { key: ADMIN.key });
    expect(routes.body).toContain('allow_shell');
    await gateway.stop();
    await expect(readFile(flag)).rejects.toThrow('ENOENT');
  });

  it('row 157: with allow_shell a shell command runs', async () => {
    const { command, args } = wildUpstream({}, ['from a shell']);
    const line = [command, ...args].map((arg) => `'${arg}'`).join(' ');
    const gateway = await startWith({ command: 'sh', args: ['-c', line], allow_shell: true });
    expect((await childOf(gateway)).args).toEqual(['from a shell']);
    await gateway.stop();
  });
});

describe('a missing command', () => {
  it.each(['no-such-program-xyz', '/nonexistent/program', './relative'])(
    'row 158: %s in the single form fails the start with exit 1 and is named',
    async (command) => {
      await expect(startWith({ command })).rejects.toThrow(new RegExp(`"code":1[\\s\\S]*${command.replaceAll('.', '\\.')}`));
    },
  );

  it('row 158: so does a file that is not executable', async () => {
    const file = join(await tempDir(), 'plain.txt');
    await writeFile(file, 'hello', { mode: 0o644 });
    await expect(startWith({ command: file })).rejects.toThrow(/"code":1[\s\S]*plain\.txt/);
  });

  it('row 158: among servers[] it is marked down, named in /routes and the log, and found when it appears', async () => {
    const dir = await tempDir();
    const missing = join(dir, 'later');
    const { command, args } = wildUpstream();
    const servers = [
      { name: 'absent', required: false, command: missing, args },
      { name: 'good', ...stdioUpstream() },
    ];
    const gateway = await startWith({ servers });
    expect((await call(gateway, 'echo', {}, '/mcp/good')).status).toBe(200);
    const routes = await http('GET', `${gateway.url}/routes`, { key: ADMIN.key });
    expect(routes.json?.['routes']?.[0]).toMatchObject({ name: 'absent', health: 'down', detail: `command not found: ${missing}` });
    expect(gateway.stderr()).toMatch(/"server":"absent"[^\n]*command not found[^\n]*later/);
    await symlink(command, missing);
    await waitUntil(async () => (await call(gateway, 'self', {}, '/mcp/absent')).status === 200, {
      what: 'it is found',
      timeoutMs: 15_000,
    });
    await gateway.stop();
  });
});

describe('what a child writes', () => {
  let gateway: Gateway;
  const audit = { redaction_rules: [{ name: 'ticket', pattern: 'TICKET-[0-9]+', replacement: '[ticket]' }] };

  beforeAll(async () => {
    const servers = [
      { name: 'wild', max_line_size: 65_536, timeout_secs: 5, ...wildUpstream() },
      { name: 'good', ...stdioUpstream() },
    ];
    gateway = await startGateway({ config: { auth, rate_limit, audit, logging: { format: 'json' }, upstream: { servers } } });
  });

  const logged = (): readonly { readonly msg: string; readonly server?: string; readonly line?: string; readonly lines?: number }[] =>
    gateway
      .stderr()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { msg: string; server?: string });
  const stderrLines = (): readonly string[] => logged().flatMap(({ msg, line }) => (msg === 'upstream stderr' ? [String(line)] : []));

  it('row 160: on stderr is captured, tagged with its server, and redacted', async () => {
    const secret = makeKey().key;
    const lines = [
      'starting up',
      'see TICKET-4711',
      `key ${secret}`,
      'Authorization: Bearer abc.def.ghi',
      'esc \u001b[31mred\u001b[0m',
      '{"msg":"fake","level":"info"}',
    ];
    expect((await call(gateway, 'stderr', { lines }, '/mcp/wild')).status).toBe(200);
    await waitUntil(() => stderrLines().length >= lines.length, { what: 'the lines are logged' });
    const seen = stderrLines();
    expect(seen[0]).toBe('starting up');
    expect(seen[1]).toBe('see [ticket]');
    expect(seen[4]).not.toContain('\u001b');
    expect(seen[5]).toContain('fake');
    expect(
      logged()
        .filter(({ msg }) => msg === 'upstream stderr')
        .map(({ server }) => server),
    ).toEqual(lines.map(() => 'wild'));
    for (const text of [secret, 'abc.def.ghi', 'TICKET-4711']) expect(gateway.stderr()).not.toContain(text);
    expect(gateway.stdout()).not.toContain('starting up');
  });

  it('row 160: a flood on stderr is limited in the log, counted in full, and harms nobody', async () => {
    const before = await metric(gateway, 'mcp_guard_upstream_stderr_lines_total{server="wild"}');
    const logBefore = stderrLines().length;
    const lines = Array.from({ length: 5000 }, (_, index) => `flood ${index}`);
    expect((await call(gateway, 'stderr', { lines }, '/mcp/wild')).status).toBe(200);
    const total = 'mcp_guard_upstream_stderr_lines_total{server="wild"}';
    await waitUntil(async () => (await metric(gateway, total)) === before + 5000, { what: 'all lines are counted' });
    expect(stderrLines().length - logBefore).toBeLessThan(200);
    expect((await call(gateway, 'echo', {}, '/mcp/good')).status).toBe(200);
  });

  it('row 162: on stdout without being JSON-RPC is skipped and counted, and answers still arrive', async () => {
    const noise = [
      'hello',
      '',
      '{"not":"jsonrpc"}',
      '[1,2]',
      'null',
      '{"jsonrpc":"2.0","id":1',
      '\u0000\u0001',
      'Content-Length: 12',
      '{"jsonrpc":"1.0","id":5,"result":{}}',
    ];
    const total = 'mcp_guard_upstream_noise_total{server="wild",kind="not_json"}';
    const before = await metric(gateway, total);
    const answer = await call(gateway, 'noise', { lines: noise }, '/mcp/wild');
    expect(toolText(answer)).toBe('"written"');
    expect((await metric(gateway, total)) - before).toBe(noise.length - 1);
  });

  it('row 162: answers nobody waits for are dropped and counted, whatever id they guess', async () => {
    const guesses = Array.from({ length: 50 }, (_, id) => JSON.stringify({ jsonrpc: '2.0', id: id + 1000, result: { forged: true } }));
    const odd = [
      '{"jsonrpc":"2.0","id":"1","result":{}}',
      '{"jsonrpc":"2.0","id":1.5,"result":{}}',
      '{"jsonrpc":"2.0","id":null,"result":{}}',
    ];
    const dropped = async (): Promise<number> => {
      const counts = ['unmatched', 'not_json'].map((kind) =>
        metric(gateway, `mcp_guard_upstream_noise_total{server="wild",kind="${kind}"}`),
      );
      return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
    };
    const before = await dropped();
    expect(toolText(await call(gateway, 'noise', { lines: [...guesses, ...odd] }, '/mcp/wild'))).toBe('"written"');
    expect((await dropped()) - before).toBe(guesses.length + odd.length);
  });

  it('row 161: an answer over max_line_size is a 502, ends that child alone, and a new one serves', async () => {
    const { pid } = await childOf(gateway, '/mcp/wild');
    const other = JSON.parse(toolText(await call(gateway, 'whoami', {}, '/mcp/good'))) as { pid: number };
    expect((await call(gateway, 'large', { chars: 60_000 }, '/mcp/wild')).status).toBe(200);
    const answer = await call(gateway, 'large', { chars: 70_000 }, '/mcp/wild');
    expect(answer.status).toBe(502);
    expect(answer.body).not.toContain('xxx');
    await waitUntil(() => !isAlive(pid), { what: 'the child is gone' });
    await waitUntil(async () => (await call(gateway, 'self', {}, '/mcp/wild')).status === 200, { what: 'a new child serves' });
    expect((JSON.parse(toolText(await call(gateway, 'whoami', {}, '/mcp/good'))) as { pid: number }).pid).toBe(other.pid);
    expect(await metric(gateway, 'mcp_guard_upstream_noise_total{server="wild",kind="oversize"}')).toBe(1);
  });

  it('row 161: trap 15: an endless line is cut at the limit and not kept, while others are served', async () => {
    const worker = await workerOf(gateway);
    const { pid } = await childOf(gateway, '/mcp/wild');
    const before = await residentBytes(worker);
    const flood = call(gateway, 'flood', {}, '/mcp/wild');
    expect((await call(gateway, 'echo', {}, '/mcp/good')).status).toBe(200);
    expect((await flood).status).toBe(502);
    await waitUntil(() => !isAlive(pid), { what: 'the flooding child is gone' });
    expect((await residentBytes(worker)) - before).toBeLessThan(64 * 1024 * 1024);
  });
});

describe('a stdio server that dies', () => {
  it('row 152: its pending requests get an error at once, and the next request is served within 2 s', async () => {
    const gateway = await startWith({ timeout_secs: 20, ...wildUpstream() });
    const { pid } = await childOf(gateway);
    const pending = [1, 2, 3].map((id) => rpc(gateway.mcp, toolCall('silence', {}, id), { key: KEY.key }));
    await waitUntil(async () => (await metric(gateway, 'mcp_guard_requests_in_flight')) > 3, { what: 'the calls are under way' });
    process.kill(pid, 'SIGKILL');
    const killedMs = performance.now();
    const answers = await Promise.all(pending);
    expect(performance.now() - killedMs).toBeLessThan(2000);
    expect(answers.map(({ status, json }) => [status, json?.['id']])).toEqual([
      [502, 1],
      [502, 2],
      [502, 3],
    ]);
    for (const { body } of answers) expect(body).not.toMatch(/SIGKILL|node|wild/);
    const next = await call(gateway, 'self');
    expect(next.status).toBe(200);
    expect((JSON.parse(toolText(next)) as Child).pid).not.toBe(pid);
    expect(performance.now() - killedMs).toBeLessThan(2000);
    expect(await metric(gateway, 'mcp_guard_upstream_restarts_total{server="default"}')).toBe(1);
    await gateway.stop();
  });

  it('row 152: restarts are spaced out: a child that ends at once is started a few times, not in a loop', async () => {
    const recordFile = join(await tempDir(), 'record');
    const servers = [
      { name: 'dies', required: false, ...stdioUpstream({ exitCode: 1, recordFile }) },
      { name: 'good', ...stdioUpstream() },
    ];
    const gateway = await startWith({ servers });
    const begin = performance.now();
    await waitUntil(async () => (await readRecord(recordFile)).pids.length >= 4, { what: 'it was started again', timeoutMs: 10_000 });
    // 100, 200, 400, 800, 1600 ms apart at the least.
    await waitUntil(() => performance.now() - begin > 2500, { what: 'some time passes' });
    expect((await readRecord(recordFile)).pids.length).toBeLessThanOrEqual(6);
    const refused = await call(gateway, 'echo', {}, '/mcp/dies');
    expect(refused.status).toBe(503);
    expect(refused.headers['retry-after']).toMatch(/^[1-9]/);
    expect((await call(gateway, 'echo', {}, '/mcp/good')).status).toBe(200);
    await gateway.stop();
  });

  it('row 152: what it had started is gone with it', async () => {
    const recordFile = join(await tempDir(), 'record');
    const gateway = await startWith(wildUpstream({ recordFile, hasGrandchild: true }));
    const first = (await readRecord(recordFile)).pids;
    expect(first.map(isAlive)).toEqual([true, true]);
    process.kill(Math.min(...first), 'SIGKILL');
    await waitUntil(() => !first.some(isAlive), { what: 'the grandchild is gone' });
    await gateway.stop();
    expect((await readRecord(recordFile)).pids.filter(isAlive)).toEqual([]);
  });
});

describe('a stdio server that does not answer', () => {
  let gateway: Gateway;

  beforeAll(async () => {
    gateway = await startWith({ timeout_secs: 0.6, timeout_max_secs: 2, ...stdioUpstream() });
  });

  it('row 150: 504 as a JSON-RPC error after timeout_secs, and the child goes on with other calls', async () => {
    const begin = performance.now();
    const [late, quick] = await Promise.all([call(gateway, 'sleep', { ms: 4000 }), call(gateway, 'echo', { a: 1 })]);
    expect(performance.now() - begin).toBeGreaterThan(550);
    expect(performance.now() - begin).toBeLessThan(3000);
    expect([late.status, late.headers['content-type'], late.json?.['id']]).toEqual([504, 'application/json', 1]);
    expect(late.json?.['error']).toMatchObject({ code: -31504, message: 'Upstream timeout', data: { error_id: expect.any(String) } });
    expect(toolText(quick)).toBe('{"a":1}');
  });

  it('row 150: progress starts the idle time anew', async () => {
    const message = toolCall('progress', { steps: 4, ms: 350 }, 'p', { progressToken: 'tok' });
    const begin = performance.now();
    const answer = await rpc(gateway.mcp, message, { key: KEY.key });
    expect(performance.now() - begin).toBeGreaterThan(1200);
    expect(answer.status).toBe(200);
    expect(toolText(answer)).toBe('done');
  });

  it('row 150: but not beyond timeout_max_secs: then the stream ends with the error', async () => {
    const message = toolCall('progress', { steps: 20, ms: 350 }, 'p', { progressToken: 'tok' });
    const begin = performance.now();
    const answer = await rpc(gateway.mcp, message, { key: KEY.key });
    const tookMs = performance.now() - begin;
    expect([tookMs > 1900, tookMs < 5000]).toEqual([true, true]);
    expect(answer.json).toMatchObject({ id: 'p', error: { code: -31504 } });
  });
});

describe('a client of a stdio server that leaves', () => {
  it('row 151: trap 6: cancels nothing in the older revisions: the server may finish, and then the place is free', async () => {
    const recordFile = join(await tempDir(), 'record');
    const gateway = await startWith({ max_concurrency: 1, ...stdioUpstream({ recordFile }) });
    const called = async (): Promise<boolean> => (await readRecord(recordFile)).messages.some(({ method }) => method === 'tools/call');
    const quit = new AbortController();
    const left = rpc(gateway.mcp, toolCall('sleep', { ms: 700 }), { key: KEY.key, signal: quit.signal });
    await waitUntil(called, { what: 'the call' });
    quit.abort();
    await expect(left).rejects.toThrow('abort');
    await waitUntil(async () => (await call(gateway, 'echo')).status === 200, { what: 'its place is free' });
    const methods = (await readRecord(recordFile)).messages.map(({ method }) => method);
    expect(methods).toEqual(['initialize', 'notifications/initialized', 'tools/call', 'tools/call']);
    await gateway.stop();
  });
});

describe('progress of a stdio server', () => {
  let gateway: Gateway;

  beforeAll(async () => {
    gateway = await startWith({ servers: [{ name: 'steps', ...stdioUpstream() }] });
  });

  it('reaches a client that gave a token as an event stream, step by step, with its own token', async () => {
    const message = toolCall('progress', { steps: 4, ms: 150 }, 'call-1', { progressToken: 'mine' });
    const stream = await rpcStream(gateway.mcp, message, { key: KEY.key });
    expect([stream.status, stream.headers['content-type']]).toEqual([200, 'text/event-stream']);
    const early = await stream.awaitEvents(1);
    expect(early.length).toBeLessThan(4);
    expect(early[0]).toEqual({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 'mine', progress: 1 } });
    expect(await stream.ended).toBe('complete');
    const events = stream.events();
    expect(events.map((event) => event['params']?.['progress'])).toEqual([1, 2, 3, 4, undefined]);
    expect(events.at(-1)).toMatchObject({ id: 'call-1', result: { content: [{ text: 'done' }] } });
  });

  it.each([7, 'a"b', ''])('gives back the token %j exactly', async (progressToken) => {
    const answer = await rpc(gateway.mcp, toolCall('progress', { steps: 1, ms: 1 }, 1, { progressToken }), { key: KEY.key });
    expect(answer.events[0]?.['params']?.['progressToken']).toBe(progressToken);
  });

  it('is one event, the answer, for a call that makes no progress', async () => {
    const answer = await rpc(gateway.mcp, toolCall('echo', { x: 1 }, 1, { progressToken: 1 }), { key: KEY.key });
    expect(answer.headers['content-type']).toBe('text/event-stream');
    expect(answer.events).toHaveLength(1);
    expect(toolText(answer)).toBe('{"x":1}');
  });

  it.each([
    ['without a token', undefined, 'application/json, text/event-stream'],
    ['that accepts only JSON', { progressToken: 1 }, 'application/json'],
  ])('a client %s gets plain JSON', async (_who, meta, accept) => {
    const answer = await rpc(gateway.mcp, toolCall('progress', { steps: 2, ms: 5 }, 1, meta), { key: KEY.key, headers: { accept } });
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json']);
    expect(toolText(answer)).toBe('done');
  });

  it('trap 8: of one client never reaches another that uses the same id and token, and the server sees neither', async () => {
    const recordFile = join(await tempDir(), 'record');
    const other = await startWith({ ...stdioUpstream({ recordFile }) });
    const steps = [2, 3, 4, 5, 6, 7];
    const answers = await Promise.all(
      steps.map((count) => {
        const message = toolCall('progress', { steps: count, ms: 15 }, 'same', { progressToken: 'same' });
        return rpc(other.mcp, message, { key: count % 2 === 0 ? KEY.key : ADMIN.key });
      }),
    );
    const own = (count: number): unknown[] => Array.from({ length: count }, (_, index) => ['same', index + 1]);
    for (const [index, { events, json }] of answers.entries()) {
      const told = events.slice(0, -1).map(({ params }) => [params?.['progressToken'], params?.['progress']]);
      expect([told, json?.['id']]).toEqual([own(steps[index] ?? 0), 'same']);
    }
    const sent = (await readRecord(recordFile)).messages.filter(({ method }) => method === 'tools/call');
    const tokens = sent.map(({ params }) => (params as { _meta: { progressToken: unknown } })._meta.progressToken);
    expect(tokens).toEqual(sent.map(({ id }) => id));
    expect(new Set(tokens).size).toBe(steps.length);
    expect(tokens).not.toContain('same');
    await other.stop();
  });
});
