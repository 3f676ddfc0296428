import { resolve } from 'node:path';
import type { BreakerSettings, HttpSettings, PoolSettings, StdioSettings, ToolTimeout, UpstreamSettings } from '../core/config.ts';
import type { TransportName } from '../core/upstream.ts';
import { milliseconds } from './build-server.ts';
import { SERVER_FIELDS } from './schema-upstream.ts';
import type { Section } from './section.ts';
import { normalizePrefix } from './syntax.ts';

/** The tables that describe a server each: those of `servers[]`, or `[upstream]` itself. */
export function serverSections(upstream: Section): readonly Section[] {
  const several = upstream.sections('servers');
  if (several.length > 0) return several;
  return isSingleForm(upstream) ? [upstream] : [];
}

/** Whether a key of one server stands directly in `[upstream]`. */
export function isSingleForm(upstream: Section): boolean {
  return upstream.hasAny(Object.keys(SERVER_FIELDS));
}

/** The transport that is stated, or that the given keys imply. */
export function transportOf(section: Section): TransportName {
  const stated = section.maybeText('transport');
  if (stated !== null) return section.choice('transport', ['stdio', 'http', 'sse', 'websocket']);
  if (!section.isSet('url') || section.isSet('command')) return 'stdio';
  return /^ws/i.test(section.maybeText('url') ?? '') ? 'websocket' : 'http';
}

export function buildUpstream(section: Section, baseDir: string): UpstreamSettings {
  const transport = transportOf(section);
  const prefix = section.maybeText('path_prefix');
  return {
    name: section.maybeText('name') ?? 'default',
    pathPrefix: prefix === null ? null : normalizePrefix(prefix),
    isPrefixStripped: section.flag('strip_prefix'),
    transport,
    isRequired: section.flag('required'),
    timeoutMs: milliseconds(section.number('timeout_secs')),
    timeoutMaxMs: Math.max(milliseconds(section.number('timeout_secs')), milliseconds(section.number('timeout_max_secs'))),
    toolTimeouts: section.sections('tool_timeouts').map((tool) => buildToolTimeout(tool, section)),
    maxConcurrency: section.number('max_concurrency'),
    queueMs: milliseconds(section.number('queue_secs')),
    queueMax: section.number('queue_max'),
    breaker: buildBreaker(section.section('breaker')),
    maxResponseBytes: section.number('max_response_size'),
    listCacheMs: milliseconds(section.number('tool_cache_ttl_secs')),
    isBridged: section.choice('modern_clients', ['fall_back', 'bridge']) === 'bridge',
    stdio: transport === 'stdio' ? buildStdio(section, baseDir) : null,
    http: transport === 'stdio' ? null : buildHttp(section),
    hasOwnChannels: section.entry('isolation').value === 'session',
  };
}

/** What it does not state is the server's, stretched or cut to fit what it does. */
function buildToolTimeout(section: Section, server: Section): ToolTimeout {
  const idle = section.maybeNumber('timeout_secs');
  const most = section.maybeNumber('timeout_max_secs');
  return {
    pattern: section.maybeText('tool_pattern') ?? '',
    timeoutMs: milliseconds(idle ?? Math.min(server.number('timeout_secs'), most ?? Infinity)),
    timeoutMaxMs: milliseconds(most ?? Math.max(server.number('timeout_max_secs'), idle ?? 0)),
  };
}

function buildBreaker(section: Section): BreakerSettings | null {
  if (!section.flag('enabled')) return null;
  return { failures: section.number('failures'), openMs: milliseconds(section.number('open_secs')) };
}

function buildStdio(section: Section, baseDir: string): StdioSettings {
  const cwd = section.maybeText('cwd');
  return {
    command: section.maybeText('command') ?? '',
    args: section.list('args'),
    env: Object.fromEntries(section.map('env')),
    cwd: cwd === null ? null : resolve(baseDir, cwd),
    isShellAllowed: section.flag('allow_shell'),
    maxLineBytes: section.number('max_line_size'),
    pool: buildPool(section),
  };
}

const MIB = 1_048_576;
/** One child each would be no isolation worth its name. */
const MAX_OWN_CHILDREN = 64;

/** By its values: a configuration that is written out in full means the same. How long to wait or to be idle asks for nothing by itself. */
export function isPoolAsked(pool: Section): boolean {
  if (pool.maybeNumber('max') !== null || pool.number('child_calls') !== 1) return true;
  return ['min', 'recycle_calls', 'recycle_mb'].some((name) => pool.number(name) > 0);
}

function buildPool(section: Section): PoolSettings | null {
  const pool = section.section('pool');
  const isolation = section.choice('isolation', ['shared', 'principal', 'session']);
  if (isolation === 'session' || (isolation === 'shared' && !isPoolAsked(pool))) return null;
  return {
    isolation,
    min: isolation === 'shared' ? pool.number('min') : 0,
    max: pool.maybeNumber('max') ?? (isolation === 'shared' ? Math.max(pool.number('min'), 1) : MAX_OWN_CHILDREN),
    queueMs: milliseconds(pool.number('queue_secs')),
    childCalls: isolation === 'shared' ? pool.number('child_calls') : 0,
    idleMs: milliseconds(pool.number('idle_secs')),
    recycleCalls: pool.number('recycle_calls'),
    recycleBytes: pool.number('recycle_mb') * MIB,
  };
}

function buildHttp(section: Section): HttpSettings {
  const headers = Array.from(section.map('headers'), ([name, value]) => [name.toLowerCase(), value]);
  return {
    url: section.maybeText('url') ?? '',
    headers: Object.fromEntries(headers),
    arePrivateNetworksAllowed: section.flag('allow_private_networks'),
  };
}
