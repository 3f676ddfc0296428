import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Agent, request as requestHttps } from 'node:https';
import { generateKey, hashKey } from '../../src/auth/keys.ts';
import type { Bench, Build } from './bench.ts';
import { freePort, isAnswering, start, until } from './process.ts';
import type { Program } from './process.ts';
import type { Target } from './target.ts';

/** Without an entry for it, every caller may call everything, as often as a load generator can. */
const GENEROUS = { enabled: true, requests_per_second: 1_000_000, burst_size: 1_000_000, max_in_flight: 100_000 };

/** What differs from the usual: key, limit, grants and audit to a file, in front of one server. */
export interface GatewaySettings {
  /** Begins with `gateway`, for which the name of the build is put. */
  readonly name?: string;
  /** The section `upstream` of the configuration. */
  readonly upstream: Readonly<Record<string, unknown>>;
  readonly server?: Readonly<Record<string, unknown>>;
  readonly rateLimit?: Readonly<Record<string, unknown>>;
  /** The section `session`. */
  readonly session?: Readonly<Record<string, unknown>>;
  /** The section `redis`; without it there is none. */
  readonly redis?: Readonly<Record<string, unknown>>;
  readonly isAudited?: boolean;
  /** Further members of the section `audit`. */
  readonly audit?: Readonly<Record<string, unknown>>;
  /** How many callers there are; requests take the first `callersUsed` of them in turn. */
  readonly callers?: number;
  readonly callersUsed?: number;
  /** Their keys, where other gateways know them too; default new ones. */
  readonly keys?: readonly string[];
  /** Further members of each caller's entry. */
  readonly caller?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
}

/** The section `upstream` for an HTTP server on this machine. */
export function httpUpstream(url: string): Readonly<Record<string, unknown>> {
  return { transport: 'http', url, allow_private_networks: true, max_concurrency: 100_000, timeout_secs: 600 };
}

/** The section `upstream` for a program that speaks MCP on its pipes. */
export function stdioUpstream(command: readonly string[]): Readonly<Record<string, unknown>> {
  return { transport: 'stdio', command: command[0], args: command.slice(1), max_concurrency: 100_000 };
}

/** Starts every build that is compared, with the same settings. */
export async function startGateways(bench: Bench, settings: GatewaySettings): Promise<Target[]> {
  const targets: Target[] = [];
  for (const build of bench.settings.builds) targets.push(await startGateway(bench, build, settings));
  return targets;
}

/** A gateway that is about to start: its target is there before it answers. */
export interface Prepared {
  readonly target: Target;
  /** Resolves with the time from its start to the first 200 of `/ready`, asked for every `askMs`. */
  readonly readyMs: (askMs: number) => Promise<number>;
}

export async function startGateway(bench: Bench, build: Build, settings: GatewaySettings): Promise<Target> {
  const { target, readyMs } = await launchGateway(bench, build, settings);
  await readyMs(50);
  return target;
}

export async function launchGateway(bench: Bench, build: Build, settings: GatewaySettings): Promise<Prepared> {
  const name = (settings.name ?? 'gateway').replace('gateway', build.name);
  const dir = join(bench.dir, `${name.replaceAll(/[^\w-]/g, '_')}-${performance.now()}`);
  await mkdir(dir);
  const port = await freePort();
  const keys = settings.keys ?? Array.from({ length: settings.callers ?? 1 }, generateKey);
  const file = join(dir, 'mcp-guard.json');
  await writeFile(file, JSON.stringify(configOf(bench, settings, port, keys)), { mode: 0o600 });
  const startMs = performance.now();
  const program = start(name, process.execPath, [build.main, 'run', '-c', file], {
    cwd: dir,
    env: { ...bench.settings.gatewayEnv, ...settings.env },
    isOwn: (command) => command.includes('worker-entry'),
  });
  bench.keep(program);
  const scheme = settings.server?.['tls'] === undefined ? 'http' : 'https';
  const callers = keys.slice(0, settings.callersUsed ?? keys.length).map((key) => [`Authorization: Bearer ${key}`]);
  const target: Target = { name, url: `${scheme}://127.0.0.1:${port}/mcp`, callers, program, isForeign: false };
  return { target, readyMs: (askMs) => awaitReady(program, `${scheme}://127.0.0.1:${port}/ready`, startMs, askMs) };
}

async function awaitReady(program: Program, url: string, startMs: number, askMs: number): Promise<number> {
  const isReady = url.startsWith('https:') ? isAnsweringTls : isAnswering;
  await until(program, () => isReady(url), askMs);
  return performance.now() - startMs;
}

/** As `isAnswering`, without asking who signed the certificate: it was made for this run. */
async function isAnsweringTls(url: string): Promise<boolean> {
  const agent = new Agent({ rejectUnauthorized: false });
  return await new Promise((resolve) => {
    const request = requestHttps(url, { agent }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('error', () => resolve(false)).end();
  });
}

function configOf(bench: Bench, settings: GatewaySettings, port: number, keys: readonly string[]): Record<string, unknown> {
  const workers = bench.settings.workers;
  return {
    server: { port, workers, max_connections: 1_000_000, ...settings.server },
    auth: {
      api_keys: keys.map((key, i) => ({ id: `perf-${i}`, key_hash: hashKey(key), allowed_tools: ['*'], ...settings.caller })),
    },
    rate_limit: { ...GENEROUS, ...settings.rateLimit },
    policy: { tools: { deny: ['forbidden_*'] } },
    audit: { enabled: settings.isAudited ?? true, file: 'audit.jsonl', ...settings.audit },
    upstream: settings.upstream,
    ...(settings.session === undefined ? {} : { session: settings.session }),
    ...(settings.redis === undefined ? {} : { redis: settings.redis }),
  };
}
