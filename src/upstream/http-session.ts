import type { UpstreamInfo } from '../core/upstream.ts';

/** What `initialize` agreed on with one upstream: it goes into every later request to it, and nowhere else. */
export interface HttpSession {
  readonly info: UpstreamInfo;
  /** The upstream's session id; null for a server without sessions. */
  readonly id: string | null;
  /** Headers of every request of this session. */
  readonly headers: readonly string[];
  readonly bornMs: number;
  /** A request of this session was answered. */
  isProven: boolean;
}

/** Headers of `initialize`, and the common part of the others. `configured` has been checked (`checkHeaders`). */
export function commonHeaders(configured: Readonly<Record<string, string>>, gatewayVersion: string): string[] {
  const own = ['content-type', 'application/json', 'accept', 'application/json, text/event-stream', 'accept-encoding', 'identity'];
  const names = new Set(Object.keys(configured).map((name) => name.toLowerCase()));
  if (!names.has('user-agent')) own.push('user-agent', `mcp-guard/${gatewayVersion}`);
  return [...own, ...Object.entries(configured).flat()];
}

/** Adds the version that this upstream negotiated and its session id (MCP 2025-11-25, Transports). */
export function sessionHeaders(common: readonly string[], protocolVersion: string, id: string | null): string[] {
  const headers = [...common, 'mcp-protocol-version', protocolVersion];
  if (id !== null) headers.push('mcp-session-id', id);
  return headers;
}

/** A usable `Mcp-Session-Id` (visible ASCII), null when there is none, undefined when it is malformed. */
export function readSessionId(header: string | string[] | undefined): string | null | undefined {
  if (header === undefined) return null;
  return typeof header === 'string' && /^[\x21-\x7e]{1,1024}$/.test(header) ? header : undefined;
}

/** A 4xx that is about the request, not about who asks or how often. */
export function isRefusalOfMethod(status: number): boolean {
  return status >= 400 && status < 500 && ![401, 403, 407, 408, 425, 429].includes(status);
}
