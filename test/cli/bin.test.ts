import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { existsSync, realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MAIN, cleanEnv, runProgram, tempDir, waitUntil } from '../e2e/harness.ts';

const BIN = join(MAIN, '..', 'bin.js');
const CARRIED = process.execPath;

/** The carried Node, and every other one of this machine: what the command is called with after an installation. */
function installedNodes(): readonly string[] {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder.startsWith('/'));
  const found = folders.map((folder) => join(folder, 'node')).filter((path) => existsSync(path));
  return [...new Set([CARRIED, ...found].map((path) => realpathSync(path)))];
}

/** A preload that makes the running Node claim another version, as `bin.js` sees it. */
async function preload(version: string): Promise<readonly string[]> {
  const file = join(await tempDir(), 'version.cjs');
  await writeFile(file, `Object.defineProperty(process.versions, 'node', { value: ${JSON.stringify(version)} });\n`);
  return ['--require', file];
}

describe('the mcp-guard executable', () => {
  it('runs the program itself on a suitable Node', async () => {
    const { code, stdout } = await runProgram(CARRIED, [BIN, 'hash-key', 'abc']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=\n' });
  });

  it.each(['20.20.2', '22.17.1', '23.5.0', '24.11.0', '26.0.0'])(
    'hands over to the carried Node from Node %s, with arguments, stdin and exit code',
    async (version) => {
      const flags = await preload(version);
      const hashed = await runProgram(CARRIED, [...flags, BIN, 'hash-key', '-'], { input: 'abc' });
      expect(hashed).toMatchObject({ code: 0, stdout: 'ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=\n', stderr: '' });
      expect((await runProgram(CARRIED, [...flags, BIN, 'fly'])).code).toBe(2);
    },
  );

  it.each(installedNodes())('loads on %s, whatever version that is', async (node) => {
    const { code, stdout } = await runProgram(node, [BIN, 'hash-key', 'abc']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=\n' });
  });

  it('says what to approve when npm did not install the carried Node', async () => {
    const root = await tempDir();
    await mkdir(join(root, 'dist', 'src'), { recursive: true });
    await mkdir(join(root, 'node_modules', 'node'), { recursive: true });
    await cp(BIN, join(root, 'dist', 'src', 'bin.js'));
    await writeFile(join(root, 'package.json'), '{"type":"module"}');
    await writeFile(join(root, 'node_modules', 'node', 'package.json'), '{"name":"node"}');
    const { code, stderr } = await runProgram(CARRIED, [...(await preload('24.1.0')), join(root, 'dist', 'src', 'bin.js'), 'version']);
    expect(code).toBe(1);
    expect(stderr).toContain('npm install-scripts approve node');
    expect(stderr).toContain('npm rebuild node --ignore-scripts=false');
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('forwards %s and ends as the program did', async (signal) => {
    const child = spawn(CARRIED, [...(await preload('24.1.0')), BIN, 'demo-server'], {
      env: cleanEnv(),
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stdin.write('{"jsonrpc":"2.0","id":1,"method":"ping"}\n');
    await waitUntil(() => stdout.includes('"result"'), { what: 'the demo server answers' });
    const closed = once(child, 'close');
    child.kill(signal);
    expect(await closed).toEqual([null, signal]);
  });
});
