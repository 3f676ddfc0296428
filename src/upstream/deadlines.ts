import type { UpstreamSettings } from '../core/config.ts';
import type { Envelope } from '../core/envelope.ts';
import type { UpstreamDeps } from './deps.ts';

/** How long a request may take: without a sign of life, and in all. */
export interface Deadlines {
  readonly timeoutMs: number;
  readonly timeoutMaxMs: number;
  /** Its tool has less time than the server: that it passes tells nothing of the server. */
  readonly isShort?: boolean;
}

/** The deadlines of each request to one upstream: those of its tool, else the upstream's. */
export type DeadlinesOf = (message: Envelope) => Deadlines;

/** The longest that any request to this upstream may take, once it was sent. */
export function longestCallMs({ timeoutMaxMs, toolTimeouts }: UpstreamSettings): number {
  return Math.max(timeoutMaxMs, ...toolTimeouts.map((tool) => tool.timeoutMaxMs));
}

/** Works out once what can be: most upstreams have the same deadlines for everything. */
export function deadlinesOf(settings: UpstreamSettings, { compileTools }: Pick<UpstreamDeps, 'compileTools'>): DeadlinesOf {
  const { name, toolTimeouts } = settings;
  const common: Deadlines = { timeoutMs: settings.timeoutMs, timeoutMaxMs: settings.timeoutMaxMs };
  if (toolTimeouts.length === 0) return () => common;
  const ofTools = toolTimeouts.map(
    ({ timeoutMs, timeoutMaxMs }): Deadlines => ({ timeoutMs, timeoutMaxMs, isShort: timeoutMs < common.timeoutMs }),
  );
  const find = compileTools(toolTimeouts.map(({ pattern }) => pattern));
  return (message) => {
    if (message.method !== 'tools/call' || message.name === null) return common;
    return ofTools[find(name, message.name)] ?? common;
  };
}
