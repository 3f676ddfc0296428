import type { Envelope } from '../core/envelope.ts';
import { isFailure, type JsonLimits, parseMessage } from '../mcp/parse.ts';

/** Of what the gateway wrote, or was read before. */
const LIMITS: JsonLimits = { maxDepth: 512, maxKeys: Infinity, maxStringBytes: Infinity };

/** A message that the gateway writes itself, read as any other. */
export function ownMessage(text: string): Envelope {
  const message = readOwn(text);
  if (message === null) throw new Error('no message of ours');
  return message;
}

/** A client's answer to a request of the server (raw JSON id); null for what cannot be one. */
export function answerMessage(idToken: string, result: unknown): Envelope | null {
  const isResult = typeof result === 'object' && result !== null && !Array.isArray(result);
  return isResult ? readOwn(`{"jsonrpc":"2.0","id":${idToken},"result":${JSON.stringify(result)}}`) : null;
}

/** Nobody answers it. */
export function unansweredMessage(idToken: string, code: number, text: string): Envelope {
  return ownMessage(`{"jsonrpc":"2.0","id":${idToken},"error":${JSON.stringify({ code, message: text })}}`);
}

function readOwn(text: string): Envelope | null {
  const parsed = parseMessage(Buffer.from(text), LIMITS);
  return isFailure(parsed) ? null : parsed;
}
