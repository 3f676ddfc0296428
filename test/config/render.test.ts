import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CONFIG_FORMATS, parseConfigText } from '../../src/config/parse.ts';
import { renderConfig } from '../../src/config/render.ts';
import { toPlain } from '../../src/config/tree.ts';
import { BASE, HASH, load, temporaryDirectory } from './support.ts';

const SECRETS = `
[server.admin]
tokens = ["${Buffer.alloc(32, 5).toString('base64')}"]
[[auth.api_keys]]
id = "a"
key_hash = "${HASH}"
allowed_tools = ["*"]
[[auth.api_keys]]
id = "b"
key_hash_file = "hash"
allowed_tools = ["*"]
[[upstream.servers]]
name = "child"
command = "run"
args = ["--token=\${CANARY}", "plain"]
env = { TOKEN = "canary-1", NAME = "\${CANARY}" }
[[upstream.servers]]
name = "web"
url = "https://x.example/\${CANARY}?key=canary-4"
headers = { Authorization = "Bearer canary-2" }
headers_file = { X-Key = "header" }
`;

function effectiveOf(text: string, baseDir?: string): Record<string, unknown> {
  const { effective, problems } = load(text, { env: { CANARY: 'canary-0' }, ...(baseDir === undefined ? {} : { baseDir }) });
  if (effective === null) throw new Error(JSON.stringify(problems));
  return structuredClone(effective);
}

describe('renderConfig (row 12)', () => {
  it('shows no secret in any format', () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'hash'), Buffer.alloc(32, 6).toString('base64'));
    writeFileSync(join(directory, 'header'), 'canary-3');
    const { effective, snapshot } = load(SECRETS, { env: { CANARY: 'canary-0' }, baseDir: directory });
    expect(JSON.stringify(snapshot)).toContain('canary-3');
    for (const format of CONFIG_FORMATS) {
      const text = renderConfig(effective ?? {}, format);
      for (const secret of ['canary', HASH, Buffer.alloc(32, 5).toString('base64'), Buffer.alloc(32, 6).toString('base64')])
        expect(text).not.toContain(secret);
      expect(text).toContain('--token=***');
      expect(text).toContain('https://x.example/***?***');
    }
    expect(effective).toMatchObject({
      server: { admin: { tokens: ['***'] } },
      auth: { api_keys: [{ key_hash: '***' }, { key_hash: '***' }] },
      upstream: { servers: [{ env: { TOKEN: '***', NAME: '***' } }, { headers: { Authorization: '***', 'X-Key': '***' } }] },
    });
  });

  it('shows what holds, defaults included, and nothing that is not available', () => {
    const effective = effectiveOf(BASE);
    expect(effective).toMatchObject({
      server: { host: '127.0.0.1', port: 3000, engine: 'uws', workers: 'auto' },
      rate_limit: { burst_size: 10 },
      upstream: { command: 'server', transport: 'stdio', timeout_secs: 30 },
    });
    expect(Object.keys(effective)).not.toEqual(expect.arrayContaining(['redis']));
    expect(JSON.stringify(effective)).not.toMatch(/peer_secret|jwt|otlp|url/);
  });

  it('writes a file that means the same when it is read again', () => {
    const open = BASE.replace(/\[\[auth[\s\S]*?\n\[up/, '[auth]\nallow_anonymous = true\n[up');
    for (const text of [
      open,
      open.replace('command = "server"', '[[upstream.servers]]\nname = "a"\nurl = "https://x"\nstrip_prefix = true'),
      `[server]\nprofile = "hardened"\n[server.admin]\nport = 1\n${open}`,
    ]) {
      const { effective, snapshot } = load(text);
      for (const format of CONFIG_FORMATS) {
        const again = load(renderConfig(effective ?? {}, format), { format });
        expect(again.problems).toEqual([]);
        expect(again.snapshot).toEqual(snapshot);
        expect(toPlain(parseConfigText(renderConfig(again.effective ?? {}, format), format).root)).toEqual(
          toPlain(parseConfigText(renderConfig(effective ?? {}, format), format).root),
        );
      }
    }
  });

  it('is there for a faulty file too, as long as it can be parsed', () => {
    expect(load(`[server]\nport = 99999\n${BASE}`).effective).toMatchObject({ server: { port: 3000 } });
  });
});
