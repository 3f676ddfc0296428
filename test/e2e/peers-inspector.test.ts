import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { keyEntry, makeKey, REPOSITORY, runProgram, startGateway, tempDir, type Gateway } from './harness.ts';
import { everythingOverStdio, sdkServerOverHttp } from './peer-servers.ts';

const INSPECTOR = join(REPOSITORY, 'node_modules', '@modelcontextprotocol', 'inspector', 'clients', 'cli', 'build', 'index.js');
const key = makeKey();
let gateway: Gateway;
let home: string;

beforeAll(async () => {
  home = await tempDir();
  const entry = keyEntry('inspector', key, { rate_limit: 10_000, burst: 10_000, denied_tools: ['get-env'] });
  gateway = await startGateway({ config: { auth: { api_keys: [entry] }, upstream: { ...everythingOverStdio() } } });
});

interface Inspection {
  readonly code: number | null;
  readonly printed: unknown;
  readonly error: unknown;
}

/** One run of the inspector's command line, with the gateway's key unless told otherwise. */
async function inspect(args: readonly string[], bearer: string | null = key.key, url: string = gateway.mcp): Promise<Inspection> {
  const header = bearer === null ? [] : ['--header', `Authorization: Bearer ${bearer}`];
  const run = [INSPECTOR, url, '--transport', 'http', '--stored-auth-only', ...header, ...args];
  const { code, stdout, stderr } = await runProgram(process.execPath, run, { env: { HOME: home } });
  return { code, printed: stdout === '' ? null : JSON.parse(stdout), error: stderr === '' ? null : JSON.parse(stderr).error };
}

describe('the inspector', () => {
  it.each([['legacy'], ['auto']])('lists the tools that the key allows (%s)', async (era) => {
    const { code, printed } = await inspect(['--method', 'tools/list', '--protocol-era', era]);
    const names = (printed as { tools: { name: string }[] }).tools.map(({ name }) => name);
    expect([code, names]).toEqual([0, expect.arrayContaining(['echo', 'get-structured-content'])]);
    expect(names).not.toContain('get-env');
  });

  it('calls a tool and gets its structured content', async () => {
    const call = ['--method', 'tools/call', '--tool-name', 'get-structured-content', '--tool-arg', 'location=Chicago'];
    const conditions = { temperature: 36, conditions: 'Light rain / drizzle', humidity: 82 };
    expect(await inspect(call)).toMatchObject({ code: 0, printed: { structuredContent: conditions }, error: null });
  });

  it('cannot find a tool that the key denies', async () => {
    const { code, error } = await inspect(['--method', 'tools/call', '--tool-name', 'get-env']);
    expect([code, error]).toEqual([5, { code: 'tool_not_found', message: "Tool 'get-env' not found on server." }]);
  });

  it('reads resources and prompts', async () => {
    const uri = 'demo://resource/dynamic/text/7';
    expect(await inspect(['--method', 'resources/read', '--uri', uri])).toMatchObject({ code: 0, printed: { contents: [{ uri }] } });
    const prompt = ['--method', 'prompts/get', '--prompt-name', 'args-prompt', '--prompt-args', 'city=Bern'];
    expect(await inspect(prompt)).toMatchObject({
      code: 0,
      printed: { messages: [{ content: { text: "What's weather in Bern?" } }] },
    });
  });

  it('says that the server does not support what is not relayed', async () => {
    const { code, error } = await inspect(['--method', 'logging/setLevel', '--log-level', 'debug']);
    expect([code, error]).toEqual([1, { code: 'error', message: 'Server does not support logging' }]);
    expect((await inspect(['--method', 'tools/list', '--protocol-era', 'modern'])).code).toBe(1);
  });

  it('asks for a credential when it has none, or a wrong one', async () => {
    const wrong = makeKey().key;
    for (const bearer of [null, wrong]) {
      const { code, printed, error } = await inspect(['--method', 'tools/list'], bearer);
      expect([code, printed, error]).toMatchObject([3, null, { code: 'auth_required' }]);
      expect(JSON.stringify(error)).toContain(bearer === null ? 'Authentication required' : 'Invalid credential');
      expect(JSON.stringify(error)).not.toContain(wrong);
    }
  });

  it('loads a tool with hundreds of calls at once, all of them answered', async () => {
    const call = ['--method', 'tools/call', '--tool-name', 'echo', '--tool-arg', 'message=hi'];
    const load = ['--load', '--load-requests', '400', '--load-concurrency', '40'];
    expect(await inspect([...call, ...load])).toMatchObject({ code: 0, printed: { requests: 400, ok: 400, errors: 0, toolErrors: 0 } });
  });
});

describe('the inspector, in front of a server that speaks every revision', () => {
  let url: string;

  beforeAll(async () => {
    const upstream = { transport: 'http', url: await sdkServerOverHttp('http'), allow_private_networks: true };
    const entry = keyEntry('inspector', key, { rate_limit: 10_000, burst: 10_000, denied_tools: ['exit'] });
    url = (await startGateway({ config: { auth: { api_keys: [entry] }, upstream } })).mcp;
  });

  it.each([['legacy'], ['auto'], ['modern']])('lists what is allowed, and calls it (%s)', async (era) => {
    const list = await inspect(['--method', 'tools/list', '--protocol-era', era], key.key, url);
    const names = (list.printed as { tools: { name: string }[] }).tools.map(({ name }) => name);
    expect([list.code, names.includes('add'), names.includes('exit')]).toEqual([0, true, false]);
    const call = ['--method', 'tools/call', '--tool-name', 'add', '--tool-arg', 'a=2', '--tool-arg', 'b=3', '--protocol-era', era];
    expect(await inspect(call, key.key, url)).toMatchObject({ code: 0, printed: { structuredContent: { sum: 5 } } });
  });
});
