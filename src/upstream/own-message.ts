import type { Envelope } from '../core/envelope.ts';
import { isFailure, type JsonLimits, parseMessage } from '../mcp/parse.ts';

/** Of what the gateway wrote, or was read before. */
const LIMITS: JsonLimits = { maxDepth: 512, maxKeys: Infinity, maxStringBytes: Infinity };

/** A message that the gateway writes itself, read as any other. */
export function ownMessage(text: string): Envelope {
  const message = readMessage(Buffer.from(text));
  if (message === null) throw new Error('no message of ours');
  return message;
}

/** A client's answer to a request of the server (raw JSON id); null for what cannot be one. */
export function answerMessage(idToken: string, result: unknown): Envelope | null {
  const isResult = typeof result === 'object' && result !== null && !Array.isArray(result);
  return isResult ? readMessage(Buffer.from(`{"jsonrpc":"2.0","id":${idToken},"result":${JSON.stringify(result)}}`)) : null;
}

/** Nobody answers it. */
export function unansweredMessage(idToken: string, code: number, text: string): Envelope {
  return ownMessage(`{"jsonrpc":"2.0","id":${idToken},"error":${JSON.stringify({ code, message: text })}}`);
}

/** A message that was read before, and may have been edited since, or one of a server; null when it is none that the gateway would take. */
export function readMessage(bytes: Buffer): Envelope | null {
  const parsed = parseMessage(bytes, LIMITS);
  return isFailure(parsed) ? null : parsed;
}
