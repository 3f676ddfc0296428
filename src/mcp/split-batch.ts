import type { Envelope } from '../core/envelope.ts';
import { type JsonLimits, isFailure, parseMessage } from './parse.ts';
import { JsonScanner } from './scan.ts';

/** Most messages in one batch; what the official SDK takes. */
const MAX_ELEMENTS = 100;

const scanner = new JsonScanner();

/**
 * The messages of a batch (JSON-RPC 2.0, section 6; MCP 2025-03-26, Transports), each as bytes of its own, unchecked. Null for what is no
 * batch of that revision: an empty array, more than 100 elements, one that is no object, requests or notifications beside
 * responses, an `initialize`.
 */
export function splitBatch(body: Buffer, limits: JsonLimits): Buffer[] | null {
  const elements = elementsOf(body, limits);
  if (elements === null || elements.length === 0) return null;
  const messages = elements.map((bytes) => parseMessage(bytes, limits)).filter((one): one is Envelope => !isFailure(one));
  if (messages.some(({ method }) => method === 'initialize')) return null;
  const responses = messages.filter(({ kind }) => kind === 'response').length;
  return responses === 0 || responses === elements.length ? elements : null;
}

function elementsOf(body: Buffer, { maxDepth, maxKeys, maxStringBytes }: JsonLimits): Buffer[] | null {
  const elements: Buffer[] = [];
  let isSound = true;
  try {
    // One level more than a message has: that of the array.
    if (!scanner.begin(body, { maxDepth: maxDepth + 1, maxKeys, maxStringBytes, areSkippedKeysCompared: true })) return null;
    if (!scanner.isArray) return null;
    for (let more = scanner.enter(); more; more = scanner.next()) {
      if (!scanner.isObject) isSound = false;
      const start = scanner.pos;
      scanner.skip();
      if (elements.length < MAX_ELEMENTS) elements.push(Buffer.from(body.subarray(start, scanner.pos)));
      else isSound = false;
    }
    return scanner.finish() && isSound ? elements : null;
  } finally {
    scanner.end();
  }
}
