import type { ClientHello } from '../core/upstream-session.ts';
import { MODERN_REVISION } from './revisions.ts';

/** Members of `_meta` that make a request one of revision 2026-07-28: the gateway introduces itself, and can be asked nothing. */
export function gatewayMeta(gatewayVersion: string): string {
  return (
    `"io.modelcontextprotocol/protocolVersion":"${MODERN_REVISION}","io.modelcontextprotocol/clientCapabilities":{},` +
    `"io.modelcontextprotocol/clientInfo":${JSON.stringify({ name: 'mcp-guard', version: gatewayVersion })}`
  );
}

/** The same for a client of an older revision: what it said of itself in `initialize`; `logLevel` as `logging/setLevel` set it, or null. */
export function helloMeta({ capabilities, clientInfo }: ClientHello, logLevel: string | null): string {
  const level = logLevel === null ? '' : `,"io.modelcontextprotocol/logLevel":${JSON.stringify(logLevel)}`;
  return (
    `"io.modelcontextprotocol/protocolVersion":"${MODERN_REVISION}","io.modelcontextprotocol/clientCapabilities":${capabilities},` +
    `"io.modelcontextprotocol/clientInfo":${clientInfo}${level}`
  );
}

/** A request of the gateway's own; `params` are further members as JSON text, empty for none. */
export function gatewayRequest(id: number, method: string, params: string, gatewayVersion: string): Buffer {
  const more = params === '' ? '' : `,${params}`;
  return Buffer.from(`{"jsonrpc":"2.0","id":${id},"method":"${method}","params":{"_meta":{${gatewayMeta(gatewayVersion)}}${more}}}`);
}
