import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeKey, runCli, tempDir, type CliResult } from '../e2e/harness.ts';

const KEY = makeKey();
const CONFIG = `[server]\nport = 4000\n[[auth.api_keys]]\nid = "alice"\nkey_hash = "${KEY.hash}"\nallowed_tools = ["*"]\n[upstream]\ncommand = "node"\n`;

interface SchemaNode {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly SchemaNode[];
  readonly oneOf?: readonly SchemaNode[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
}

function typesOf(node: SchemaNode): readonly string[] {
  const own = node.type === undefined ? [] : [node.type].flat();
  const inner = [...(node.anyOf ?? []), ...(node.oneOf ?? [])].flatMap(typesOf);
  return [...own, ...inner, ...(node.enum === undefined ? [] : ['string'])] as string[];
}

/** Paths of every scalar that is not inside a list. */
function scalarsOf(node: SchemaNode, path: readonly string[] = []): readonly string[][] {
  return Object.entries(node.properties ?? {}).flatMap(([name, below]) => {
    const here = [...path, name];
    if (name === '$schema') return [];
    if (below.properties !== undefined) return scalarsOf(below, here);
    const isScalar = typesOf(below).length > 0 && typesOf(below).every((type) => ['string', 'number', 'integer', 'boolean'].includes(type));
    return isScalar ? [[...here]] : [];
  });
}

describe('configuration by environment', () => {
  let cwd: string;

  beforeAll(async () => {
    cwd = await tempDir();
    await writeFile(join(cwd, 'mcp-guard.toml'), CONFIG);
  });

  function show(env: Record<string, string>): Promise<CliResult> {
    return runCli(['config', 'show'], { cwd, env });
  }

  it('row 11: a variable beats the file', async () => {
    const { code, stdout } = await show({
      MCP_GUARD_SERVER_PORT: '4567',
      MCP_GUARD_RATE_LIMIT_ENABLED: 'false',
      MCP_GUARD_LOGGING_LEVEL: 'warn',
    });
    expect(code).toBe(0);
    expect(stdout).toContain('4567');
    expect(stdout).not.toContain('4000');
    expect(stdout).toContain('warn');
  });

  it('row 11: every scalar of the schema is known as MCP_GUARD_<PATH>', async () => {
    const schema = JSON.parse((await runCli(['schema'])).stdout) as SchemaNode;
    const paths = scalarsOf(schema);
    expect(paths.length).toBeGreaterThan(50);
    const names = paths.map((path) => `MCP_GUARD_${path.join('_').toUpperCase()}`);
    const control = await runCli(['validate'], { cwd, env: { MCP_GUARD_SERVER_PROT: '1' } });
    expect(control.stderr).toContain('MCP_GUARD_SERVER_PROT');
    expect(control.stderr).toContain('MCP_GUARD_SERVER_PORT');
    const { stderr } = await runCli(['validate'], { cwd, env: Object.fromEntries(names.map((name) => [name, '\u0001'])) });
    const unknown = names.filter((name) => new RegExp(`unknown.*${name}\\b|${name}\\b.*unknown`, 'i').test(stderr));
    expect(unknown).toEqual([]);
    for (const path of ['server.port', 'server.workers', 'rate_limit.burst_size', 'logging.level', 'audit.enabled'])
      expect(stderr).toContain(path);
  });

  it('row 11: ${VAR} and ${VAR:-default} are resolved in strings', async () => {
    await writeFile(join(cwd, 'default.toml'), CONFIG.replace('[server]', '[server]\nhost = "${BIND_TO:-127.0.0.8}"'));
    expect((await runCli(['config', 'show', '-c', 'default.toml'], { cwd })).stdout).toContain('127.0.0.8');
    await writeFile(join(cwd, 'host.toml'), CONFIG.replace('[server]', '[server]\nhost = "${BIND_TO}"'));
    const missing = await runCli(['validate', '-c', 'host.toml'], { cwd });
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain('BIND_TO');
    const present = await runCli(['config', 'show', '-c', 'host.toml'], { cwd, env: { BIND_TO: '127.0.0.9' } });
    expect(present.stdout).toContain('127.0.0.9');
  });

  it('row 11: a value that Kubernetes injects is an error that names the cause', async () => {
    const { code, stderr } = await runCli(['validate'], { cwd, env: { MCP_GUARD_SERVER_PORT: 'tcp://10.0.0.1:3000' } });
    expect(code).toBe(1);
    expect(stderr).toContain('MCP_GUARD_SERVER_PORT');
    expect(stderr).toContain('Kubernetes');
  });

  it('row 12: secrets come from files and the environment, and config show masks them', async () => {
    const secret = 'hunter2-hunter2-hunter2';
    await writeFile(join(cwd, 'hash.txt'), `${KEY.hash}\n`);
    const config = [
      '[[auth.api_keys]]\nid = "alice"\nkey_hash_file = "hash.txt"\nallowed_tools = ["*"]',
      '[upstream]\ntransport = "http"\nurl = "https://mcp.example.com/mcp"\nheaders = { "X-Token" = "${UPSTREAM_TOKEN}" }',
    ].join('\n');
    await writeFile(join(cwd, 'secret.toml'), config);
    const { code, stdout, stderr } = await runCli(['config', 'show', '-c', 'secret.toml'], { cwd, env: { UPSTREAM_TOKEN: secret } });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('X-Token');
    expect(stdout).toContain('alice');
    expect(stdout).not.toContain(secret);
    expect(stdout).not.toContain(KEY.hash);
  });

  it('row 12: a secret file that cannot be read is an error that names its key', async () => {
    await writeFile(join(cwd, 'lost.toml'), '[[auth.api_keys]]\nid = "a"\nkey_hash_file = "lost.txt"\n[upstream]\ncommand = "node"\n');
    const { code, stderr } = await runCli(['validate', '-c', 'lost.toml'], { cwd });
    expect(code).toBe(1);
    expect(stderr).toContain('key_hash_file');
  });
});
