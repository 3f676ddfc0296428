import { spawn } from 'node:child_process';
import { join } from 'node:path';

const AUTOCANNON = join(import.meta.dirname, '..', 'node_modules', 'autocannon', 'autocannon.js');

export interface LoadOptions {
  readonly url: string;
  readonly connections: number;
  readonly durationSecs: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Makes it a POST. */
  readonly body?: string;
}

/** What a load generator saw. Latencies in milliseconds. */
export interface LoadResult {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers other than 2xx, errors of connections, and timeouts. */
  readonly failures: number;
  readonly answered: number;
}

interface AutocannonReport {
  readonly requests: { readonly average: number };
  readonly latency: { readonly p50: number; readonly p99: number };
  readonly '2xx': number;
  readonly non2xx: number;
  readonly errors: number;
  readonly timeouts: number;
}

function argumentsOf(options: LoadOptions): string[] {
  const headers = Object.entries(options.headers ?? {}).flatMap(([name, value]) => ['-H', `${name}=${value}`]);
  const body = options.body === undefined ? [] : ['-m', 'POST', '-b', options.body];
  return ['--json', '-c', String(options.connections), '-d', String(options.durationSecs), ...headers, ...body, options.url];
}

/** Loads a URL from a process of its own and returns what it saw. */
export async function load(options: LoadOptions): Promise<LoadResult> {
  const child = spawn(process.execPath, [AUTOCANNON, ...argumentsOf(options)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  for await (const chunk of child.stdout.setEncoding('utf8')) text += chunk;
  const report = JSON.parse(text) as AutocannonReport;
  return {
    requestsPerSecond: report.requests.average,
    p50Ms: report.latency.p50,
    p99Ms: report.latency.p99,
    failures: report.non2xx + report.errors + report.timeouts,
    answered: report['2xx'],
  };
}
