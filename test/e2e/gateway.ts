import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll } from 'vitest';
import { builtMain, cleanEnv, tempDir } from './cli.ts';
import { http } from './http.ts';
import { waitUntil, within } from './wait.ts';

const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 20_000;

export interface GatewayOptions {
  /** A string is TOML; an object is written as JSON, with port 0 and one worker unless it says otherwise. Absent: no file. */
  readonly config?: string | Readonly<Record<string, unknown>>;
  /** File name of the configuration: gives its syntax. */
  readonly configName?: string;
  /** Further files, by path relative to the gateway's folder; they exist before it starts. */
  readonly files?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  /** After `run`. Without a `--port` among them, `--port 0` is added. */
  readonly args?: readonly string[];
  /** An existing folder to run in; default a new temporary one. */
  readonly dir?: string;
  /** Return once it listens, without waiting for `/ready` 200. */
  readonly isReadyAwaited?: boolean;
}

export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Gateway {
  /** `http://127.0.0.1:PORT`, without a path. */
  readonly url: string;
  readonly port: number;
  /** The MCP endpoint: `url` + `/mcp`. */
  readonly mcp: string;
  /** Of the separate admin listener; undefined without one. */
  readonly adminUrl: string | undefined;
  readonly pid: number;
  readonly dir: string;
  stdout(): string;
  stderr(): string;
  /** Waits for the end; safe to call twice. */
  stop(signal?: NodeJS.Signals): Promise<ExitStatus>;
  /** Resolves when it has ended by itself. */
  readonly exited: Promise<ExitStatus>;
  /** The parsed lines of the audit file in `dir`. */
  auditLines(name?: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
}

const running = new Set<ChildProcess>();

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Already gone.
  }
}

afterAll(() => {
  for (const child of running) killGroup(child);
});
process.once('exit', () => {
  for (const child of running) killGroup(child);
});

function withDefaults(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const server = (config['server'] ?? {}) as Record<string, unknown>;
  return { ...config, server: { port: 0, workers: 1, ...server } };
}

async function writeFiles(dir: string, options: GatewayOptions): Promise<void> {
  const { config } = options;
  const files = Object.entries(options.files ?? {});
  if (typeof config === 'string') files.push([options.configName ?? 'mcp-guard.toml', config]);
  else if (config !== undefined) files.push([options.configName ?? 'mcp-guard.json', JSON.stringify(withDefaults(config), null, 2)]);
  for (const [name, text] of files) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), text, { mode: 0o600 });
  }
}

function argumentsOf(options: GatewayOptions): string[] {
  const given = options.args ?? [];
  const config = options.configName ?? (typeof options.config === 'object' ? 'mcp-guard.json' : undefined);
  const port = given.includes('--port') ? [] : ['--port', '0'];
  return ['run', ...(config === undefined ? [] : ['-c', config]), ...port, ...given];
}

/** Starts `mcp-guard run` in its own folder and process group and waits until it is ready. Ended with the test file. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const dir = options.dir ?? (await tempDir());
  await writeFiles(dir, options);
  const child = spawn(process.execPath, [builtMain(), ...argumentsOf(options)], {
    cwd: dir,
    env: cleanEnv(options.env),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  running.add(child);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const describe = (): string => `stdout:\n${stdout}\nstderr:\n${stderr}`;
  const exited = once(child, 'close').then(([code, signal]): ExitStatus => {
    running.delete(child);
    return { code: code as number | null, signal: signal as NodeJS.Signals | null };
  });
  try {
    const url = await awaitListening(exited, () => stdout, describe);
    if (options.isReadyAwaited !== false) await awaitReady(url, describe);
    return describeGateway({ child, dir, url, exited, stdout: () => stdout, stderr: () => stderr, describe });
  } catch (error) {
    killGroup(child);
    throw error;
  }
}

async function awaitListening(exited: Promise<ExitStatus>, stdout: () => string, describe: () => string): Promise<string> {
  let ended: ExitStatus | null = null;
  void exited.then((status) => (ended = status));
  return await waitUntil(
    () => {
      if (ended !== null) throw new Error(`the gateway ended at once: ${JSON.stringify(ended)}\n${describe()}`);
      return bannerUrl(stdout(), 'listen');
    },
    { what: 'the banner with the listen URL', timeoutMs: START_TIMEOUT_MS, describe },
  );
}

/** Of a complete banner line only: the pipe may cut anywhere. */
function bannerUrl(stdout: string, label: 'listen' | 'admin'): string | undefined {
  return new RegExp(`^\\s*${label}\\s+(https?://[^\\s/]+)[^\\n]*\\n`, 'm').exec(stdout)?.[1];
}

async function awaitReady(url: string, describe: () => string): Promise<void> {
  await waitUntil(async () => (await http('GET', `${url}/ready`).catch(() => null))?.status === 200, {
    what: `${url}/ready`,
    timeoutMs: START_TIMEOUT_MS,
    describe,
  });
}

interface Started {
  readonly child: ChildProcess;
  readonly dir: string;
  readonly url: string;
  readonly exited: Promise<ExitStatus>;
  stdout(): string;
  stderr(): string;
  describe(): string;
}

function describeGateway(started: Started): Gateway {
  const { child, dir, url, exited, stdout, stderr } = started;
  return {
    url,
    port: Number(new URL(url).port),
    mcp: `${url}/mcp`,
    adminUrl: bannerUrl(stdout(), 'admin'),
    pid: child.pid as number,
    dir,
    stdout,
    stderr,
    exited,
    async stop(signal = 'SIGTERM') {
      if (running.has(child)) child.kill(signal);
      try {
        return await within(exited, STOP_TIMEOUT_MS, () => `stop by ${signal}\n${started.describe()}`);
      } finally {
        killGroup(child);
      }
    },
    async auditLines(name = 'mcp-guard-audit.jsonl') {
      const isRunning = running.has(child);
      const read = await readFile(join(dir, name), 'utf8').catch(() => '');
      // While it runs the last line may be half written; afterwards each is whole.
      const text = isRunning ? read.slice(0, read.lastIndexOf('\n') + 1) : read;
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    },
  };
}
