import { KeyNames } from './key-names.ts';
import { JsonScanner, type ScanLimits } from './scan.ts';
import { splice } from './splice.ts';

const LIMITS: ScanLimits = { maxDepth: 512, maxKeys: Infinity, maxStringBytes: Infinity, areSkippedKeysCompared: false };
const TOP = new KeyNames(['params', 'result']);
const BODY = new KeyNames(['_meta']);
const META = new KeyNames(['io.modelcontextprotocol/subscriptionId']);

const scanner = new JsonScanner();

/** Where a value stands; −1 when there is none. */
export interface Span {
  start: number;
  end: number;
}

/**
 * Where a message of a subscription names it: in `_meta`, by the id of the request that opened it (2026-07-28, subscriptions).
 * The message has been scanned.
 */
export function subscriptionId(bytes: Buffer): Span {
  const found: Span = { start: -1, end: -1 };
  try {
    if (!scanner.begin(bytes, LIMITS) || !scanner.isObject) return found;
    for (let more = scanner.enter(); more; more = scanner.next()) {
      if (TOP.match(scanner) < 0 || !scanner.isObject) scanner.skip();
      else readBody(found);
    }
    return found;
  } finally {
    scanner.end();
  }
}

/** The message as the client knows its subscription: `id` upstream, `idToken` (raw JSON) at the client. Null when it names another, or none. */
export function withSubscriptionId(bytes: Buffer, id: number, idToken: string): Buffer | null {
  const found = subscriptionId(bytes);
  const isOurs = found.start >= 0 && bytes.toString('latin1', found.start, found.end) === String(id);
  return isOurs ? splice(bytes, [{ ...found, text: idToken }]) : null;
}

function readBody(found: Span): void {
  for (let more = scanner.enter(); more; more = scanner.next()) {
    if (BODY.match(scanner) !== 0 || !scanner.isObject) scanner.skip();
    else readMeta(found);
  }
}

function readMeta(found: Span): void {
  for (let more = scanner.enter(); more; more = scanner.next()) {
    const isId = META.match(scanner) === 0;
    const start = scanner.pos;
    scanner.skip();
    if (!isId) continue;
    found.start = start;
    found.end = scanner.pos;
  }
}
