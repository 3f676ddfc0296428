import { randomBytes } from 'node:crypto';
import type { ModernInfo, UpstreamInfo } from '../core/upstream.ts';
import { TASKS_EXTENSION } from '../mcp/task-messages.ts';
import { MODERN_REVISION } from '../mcp/revisions.ts';

const MAX_TEXT_CHARS = 256 * 1024;
/** Bytes of a name of a life, as many as places have for names. */
const LIFE_BYTES = 12;
const MAX_TTL_MS = 2 ** 31 - 1;
const UNSUPPORTED_VERSION = -32022;

/** Capabilities that are relayed, and of each the options that are. */
const RELAYED: ReadonlyMap<string, readonly string[]> = new Map([
  ['tools', ['listChanged']],
  ['resources', ['subscribe', 'listChanged']],
  ['prompts', ['listChanged']],
  ['completions', []],
  ['logging', []],
]);

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads the answer to `server/discover` (a whole JSON-RPC message). A string says why the server does not speak revision 2026-07-28
 * with us.
 */
export function readDiscoverReply(bytes: Buffer): ModernInfo | string {
  const result = field(JSON.parse(bytes.toString('utf8')), 'result');
  if (!isObject(result)) return 'answered server/discover with an error';
  const versions = result['supportedVersions'];
  if (!Array.isArray(versions) || !versions.includes(MODERN_REVISION)) return `does not support revision ${MODERN_REVISION}`;
  const instructions = result['instructions'] ?? null;
  if (instructions !== null && typeof instructions !== 'string') return 'answered server/discover with malformed instructions';
  const serverInfo = serverInfoOf(result);
  if (serverInfo.length > MAX_TEXT_CHARS || (instructions ?? '').length > MAX_TEXT_CHARS) return 'answered server/discover with too much';
  return infoOf(result, serverInfo, instructions);
}

/**
 * Whether the server refuses the revision and names it as supported in the same breath: it is asked again then (2026-07-28, Versioning:
 * a client retries with a revision that the error names).
 */
export function isWorthAnotherTry(bytes: Buffer): boolean {
  const error = field(JSON.parse(bytes.toString('utf8')), 'error');
  const supported = field(field(error, 'data'), 'supported');
  return field(error, 'code') === UNSUPPORTED_VERSION && Array.isArray(supported) && supported.includes(MODERN_REVISION);
}

function infoOf(result: Fields, serverInfo: string, instructions: string | null): ModernInfo {
  const capabilities = relayedCapabilities(result['capabilities']);
  const server = JSON.parse(serverInfo) as Fields;
  const legacy: UpstreamInfo = {
    protocolVersion: MODERN_REVISION,
    name: String(server['name']),
    version: String(server['version']),
    serverInfo,
    capabilities: new Set(Object.keys(capabilities)),
    capabilitiesJson: JSON.stringify(capabilities),
    instructions,
  };
  const hasTasks = isObject(field(field(result['capabilities'], 'extensions'), TASKS_EXTENSION));
  const shown = hasTasks ? { ...capabilities, extensions: { [TASKS_EXTENSION]: {} } } : capabilities;
  const life = randomBytes(LIFE_BYTES).toString('base64url');
  return { discover: discoverResult(result, shown, serverInfo, instructions), hasTasks, life, legacy };
}

function discoverResult(result: Fields, capabilities: Fields, serverInfo: string, instructions: string | null): string {
  const ttlMs = result['ttlMs'];
  return JSON.stringify({
    resultType: 'complete',
    supportedVersions: [MODERN_REVISION],
    capabilities,
    ...(instructions !== null && { instructions }),
    ttlMs: Number.isInteger(ttlMs) ? Math.min(Math.max(Number(ttlMs), 0), MAX_TTL_MS) : 0,
    cacheScope: result['cacheScope'] === 'public' ? 'public' : 'private',
    _meta: { 'io.modelcontextprotocol/serverInfo': JSON.parse(serverInfo) as unknown },
  });
}

/** What the gateway does not know is not relayed; of extensions it knows tasks. */
function relayedCapabilities(declared: unknown): Fields {
  const relayed: Record<string, unknown> = {};
  for (const [name, options] of RELAYED) {
    const own = field(declared, name);
    if (isObject(own)) relayed[name] = Object.fromEntries(options.filter((option) => own[option] === true).map((option) => [option, true]));
  }
  return relayed;
}

/** As JSON text; a server may keep its name to itself. */
function serverInfoOf(result: Fields): string {
  const info = field(result['_meta'], 'io.modelcontextprotocol/serverInfo');
  const isNamed = typeof field(info, 'name') === 'string' && typeof field(info, 'version') === 'string';
  return JSON.stringify(isNamed ? info : { name: 'unknown', version: '0' });
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function field(value: unknown, name: string): unknown {
  return isObject(value) ? value[name] : undefined;
}
