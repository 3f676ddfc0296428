import type { UpstreamInfo } from '../core/upstream.ts';
import type { ClientHello } from '../core/upstream-session.ts';
import { LATEST_LEGACY_REVISION, LEGACY_REVISIONS } from '../mcp/revisions.ts';

const MAX_SERVER_INFO_CHARS = 64 * 1024;
const MAX_INSTRUCTIONS_CHARS = 256 * 1024;
const MAX_CAPABILITIES = 64;

export const INITIALIZED: Buffer = Buffer.from('{"jsonrpc":"2.0","method":"notifications/initialized"}');

/**
 * The gateway's own `initialize`. No client capabilities: clients are many and share the connection, so nothing that a
 * server might ask of one of them can be promised.
 */
export function initializeRequest(id: number, gatewayVersion: string): Buffer {
  const clientInfo = { name: 'mcp-guard', version: gatewayVersion };
  const params = { protocolVersion: LATEST_LEGACY_REVISION, capabilities: {}, clientInfo };
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, method: 'initialize', params }));
}

/** A client's `initialize`, in its own name and with its own id (a raw JSON token). */
export function initializeFor(hello: ClientHello, idToken: string): Buffer {
  const { revision, capabilities, clientInfo } = hello;
  const params = `{"protocolVersion":"${revision}","capabilities":${capabilities},"clientInfo":${clientInfo}}`;
  return Buffer.from(`{"jsonrpc":"2.0","id":${idToken},"method":"initialize","params":${params}}`);
}

/** The same for a request of a client, by its own id. */
export function cancelledByToken(idToken: string, reason: string): Buffer {
  const params = `{"requestId":${idToken},"reason":${JSON.stringify(reason)}}`;
  return Buffer.from(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":${params}}`);
}

export function pingRequest(id: number): Buffer {
  return Buffer.from(`{"jsonrpc":"2.0","id":${id},"method":"ping"}`);
}

/** MCP 2025-11-25, Cancellation: sent for a request that the gateway no longer waits for. */
export function cancelledNotification(id: number, reason: string): Buffer {
  const params = { requestId: id, reason };
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params }));
}

/** Reads the answer to `initialize` (a whole JSON-RPC message). A string says what is wrong with it. */
export function readInitializeReply(bytes: Buffer): UpstreamInfo | string {
  const message: unknown = JSON.parse(bytes.toString('utf8'));
  const result = field(message, 'result');
  if (!isObject(result)) return 'answered initialize with an error';
  const protocolVersion = field(result, 'protocolVersion');
  if (typeof protocolVersion !== 'string') return 'answered initialize without a protocol version';
  if (!LEGACY_REVISIONS.includes(protocolVersion))
    return `speaks protocol version ${JSON.stringify(protocolVersion.slice(0, 40))}, which is not supported`;
  return readServer(result, protocolVersion);
}

function readServer(result: object, protocolVersion: string): UpstreamInfo | string {
  const server = field(result, 'serverInfo');
  const name = field(server, 'name');
  const version = field(server, 'version');
  if (typeof name !== 'string' || typeof version !== 'string') return 'answered initialize without serverInfo.name and .version';
  const serverInfo = JSON.stringify(server);
  const capabilities = field(result, 'capabilities');
  const names = isObject(capabilities) ? Object.keys(capabilities) : [];
  const capabilitiesJson = isObject(capabilities) ? JSON.stringify(capabilities) : '{}';
  const instructions = field(result, 'instructions') ?? null;
  if (instructions !== null && typeof instructions !== 'string') return 'answered initialize with malformed instructions';
  if (serverInfo.length > MAX_SERVER_INFO_CHARS || capabilitiesJson.length > MAX_SERVER_INFO_CHARS || names.length > MAX_CAPABILITIES)
    return 'answered initialize with too much';
  if (instructions !== null && instructions.length > MAX_INSTRUCTIONS_CHARS) return 'answered initialize with too much';
  return { protocolVersion, name, version, serverInfo, capabilities: new Set(names), capabilitiesJson, instructions };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function field(value: unknown, name: string): unknown {
  return isObject(value) ? (value as Record<string, unknown>)[name] : undefined;
}
