/** Revisions with `initialize`, newest first (MCP specification, versioning page). */
export const DEMO_REVISIONS: readonly string[] = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'];

/** JSON-RPC 2.0 section 5.1. */
export const PARSE_ERROR = -32700;
export const INVALID_REQUEST = -32600;
export const METHOD_NOT_FOUND = -32601;
export const INVALID_PARAMS = -32602;
export const INTERNAL_ERROR = -32603;
/** MCP 2025-11-25, server/resources: "Resource not found". */
export const RESOURCE_NOT_FOUND = -32002;

export type JsonObject = Readonly<Record<string, unknown>>;
export type MessageId = string | number;

/** A request that is answered with a JSON-RPC error. */
export class RpcError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isMessageId(value: unknown): value is MessageId {
  return typeof value === 'string' || Number.isSafeInteger(value);
}

/** A member that must be a string; its absence is the caller's mistake. */
export function stringMember(source: JsonObject, name: string): string {
  const value = Object.hasOwn(source, name) ? source[name] : undefined;
  if (typeof value !== 'string') throw new RpcError(INVALID_PARAMS, `${name} must be a string`);
  return value;
}

/** An object member; absent means empty. */
export function objectMember(source: JsonObject, name: string): JsonObject {
  const value = Object.hasOwn(source, name) ? source[name] : undefined;
  if (value === undefined) return {};
  if (!isObject(value)) throw new RpcError(INVALID_PARAMS, `${name} must be an object`);
  return value;
}
