import { beforeAll, describe, expect, it } from 'vitest';
import {
  http,
  keyEntry,
  makeKey,
  rpc,
  startGateway,
  startHttpUpstream,
  stdioUpstream,
  toolCall,
  waitUntil,
  wildUpstream,
  type Gateway,
} from './harness.ts';

const KEY = makeKey();
const ADMIN = makeKey();
const auth = { api_keys: [keyEntry('alice', KEY), keyEntry('root', ADMIN, { roles: ['admin'] })] };
const rate_limit = { enabled: false };

interface Line {
  readonly time: string;
  readonly worker: number;
  readonly line: string;
}

async function linesOf(gateway: Gateway, name: string): Promise<readonly Line[]> {
  const { status, json } = await http('GET', `${gateway.url}/routes`, { key: ADMIN.key });
  expect(status).toBe(200);
  const routes = json['routes'] as unknown as readonly { readonly name: string; readonly stderr: readonly Line[] }[];
  return routes.find((route) => route.name === name)?.stderr ?? [];
}

async function print(gateway: Gateway, lines: readonly string[], server = 'wild'): Promise<void> {
  expect((await rpc(`${gateway.mcp}/${server}`, toolCall('stderr', { lines }), { key: KEY.key })).status).toBe(200);
}

describe('the last lines of children in the admin view', () => {
  let gateway: Gateway;
  beforeAll(async () => {
    const { url } = await startHttpUpstream();
    gateway = await startGateway({
      config: {
        auth,
        rate_limit,
        logging: { format: 'json' },
        upstream: {
          servers: [
            { name: 'wild', transport: 'stdio', ...wildUpstream() },
            { name: 'other', transport: 'stdio', ...wildUpstream() },
            { name: 'failing', ...stdioUpstream({ stderr: ['cannot open database: no such file'], exitCode: 3 }), required: false },
            { name: 'remote', transport: 'http', url, allow_private_networks: true },
          ],
        },
      },
    });
  });

  it('row 160: /routes shows the last hundred of each server, in order, although the log left most of them out', async () => {
    await print(
      gateway,
      Array.from({ length: 250 }, (_, index) => `line ${index}`),
    );
    await print(gateway, ['of the other'], 'other');
    const shown = await waitUntil(
      async () => ((await linesOf(gateway, 'wild')).at(-1)?.line === 'line 249' ? linesOf(gateway, 'wild') : null),
      {
        what: 'the last line',
      },
    );
    expect(shown.map(({ line }) => line)).toEqual(Array.from({ length: 100 }, (_, index) => `line ${150 + index}`));
    expect((await linesOf(gateway, 'other')).map(({ line }) => line)).toEqual(['of the other']);
    expect(await linesOf(gateway, 'remote')).toEqual([]);
    for (const { time, worker } of shown) {
      expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(60_000);
      expect(worker).toBe(0);
    }
    expect(gateway.stderr().split('"upstream stderr"').length).toBeLessThan(100);
  });

  it('row 160: why a server does not start can be read there', async () => {
    const shown = await waitUntil(async () => ((await linesOf(gateway, 'failing')).length > 0 ? linesOf(gateway, 'failing') : null), {
      what: 'its line',
    });
    expect(shown[0]?.line).toBe('cannot open database: no such file');
  });

  it('row 160: they are redacted, cut, harmless on a terminal, and for administrators only', async () => {
    const secret = makeKey().key;
    await print(gateway, [
      `key ${secret}`,
      'password=hunter2',
      '\u001b[31mred\u001b[0m',
      '</script><script>alert(1)',
      'x'.repeat(50_000),
      '日本語'.repeat(3000),
    ]);
    const shown = await waitUntil(
      async () => ((await linesOf(gateway, 'wild')).at(-1)?.line.startsWith('日') ? linesOf(gateway, 'wild') : null),
      {
        what: 'the last line',
      },
    );
    const texts = shown.slice(-6).map(({ line }) => line);
    expect(texts.slice(0, 3)).toEqual(['key [redacted]', 'password=[redacted]', '\\u001b[31mred\\u001b[0m']);
    expect(texts[4]).toMatch(/^x{1024}…$/);
    expect(texts[5]?.isWellFormed()).toBe(true);
    const raw = (await http('GET', `${gateway.url}/routes`, { key: ADMIN.key })).body;
    for (const text of [secret, 'hunter2', '\u001b']) expect(raw).not.toContain(text);
    for (const options of [{}, { key: KEY.key }]) {
      const refused = await http('GET', `${gateway.url}/routes`, options);
      expect([401, 403]).toContain(refused.status);
      expect(refused.body).not.toContain('redacted');
    }
  });

  it('row 160: a flood of long lines keeps the answer small and the gateway quick', async () => {
    const long = Array.from({ length: 30 }, () => '\u0001'.repeat(4000));
    for (let round = 0; round < 5; round++) await print(gateway, long);
    await waitUntil(async () => (await linesOf(gateway, 'wild')).at(-1)?.line.startsWith('\\u0001'), {
      what: 'the flood',
      timeoutMs: 10_000,
    });
    const { body } = await http('GET', `${gateway.url}/routes`, { key: ADMIN.key });
    expect(body.length).toBeLessThan(300_000);
    const answers = await Promise.all(Array.from({ length: 20 }, () => http('GET', `${gateway.url}/routes`, { key: ADMIN.key })));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  });
});

describe('the children of several workers', () => {
  it('row 160: are shown together, each line with its worker and in the order of time', async () => {
    const gateway = await startGateway({
      config: {
        auth,
        rate_limit,
        server: { workers: 2 },
        upstream: { servers: [{ name: 'wild', transport: 'stdio', ...wildUpstream() }] },
      },
    });
    let count = 0;
    const seen = await waitUntil(
      async () => {
        await print(gateway, [`call ${count++}`]);
        const lines = await linesOf(gateway, 'wild');
        return new Set(lines.map(({ worker }) => worker)).size === 2 && lines.length === count ? lines : null;
      },
      { what: 'lines of both workers', timeoutMs: 10_000 },
    );
    expect(seen.map(({ line }) => line).toSorted()).toEqual(Array.from({ length: count }, (_, index) => `call ${index}`).toSorted());
    const times = seen.map(({ time }) => time);
    expect(times).toEqual(times.toSorted());
    await gateway.stop();
  });
});
