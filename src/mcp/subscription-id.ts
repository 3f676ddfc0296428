import { KeyNames } from './key-names.ts';
import { JsonScanner, type ScanLimits } from './scan.ts';
import { splice } from './splice.ts';

const LIMITS: ScanLimits = { maxDepth: 512, maxKeys: Infinity, maxStringBytes: Infinity, areSkippedKeysCompared: false };
const TOP = new KeyNames(['params', 'result']);
const BODY = new KeyNames(['_meta']);
const META = new KeyNames(['io.modelcontextprotocol/subscriptionId']);

const scanner = new JsonScanner();

/**
 * A message of a subscription, whose `_meta` names it by the id of the request that opened it (2026-07-28, subscriptions): `id`
 * upstream, `idToken` (raw JSON) at the client. Null for a notification that names another or none; a response is returned as it
 * is then.
 */
export function withSubscriptionId(bytes: Buffer, id: number, idToken: string): Buffer | null {
  const found = { start: -1, end: -1 };
  let isResponse = false;
  try {
    if (!scanner.begin(bytes, LIMITS) || !scanner.isObject) return null;
    for (let more = scanner.enter(); more; more = scanner.next()) {
      const key = TOP.match(scanner);
      isResponse ||= key === 1;
      if (key < 0 || !scanner.isObject) scanner.skip();
      else readBody(found);
    }
  } finally {
    scanner.end();
  }
  const isOurs = found.start >= 0 && bytes.toString('latin1', found.start, found.end) === String(id);
  if (isOurs) return splice(bytes, [{ ...found, text: idToken }]);
  return isResponse ? bytes : null;
}

function readBody(found: { start: number; end: number }): void {
  for (let more = scanner.enter(); more; more = scanner.next()) {
    if (BODY.match(scanner) !== 0 || !scanner.isObject) scanner.skip();
    else readMeta(found);
  }
}

function readMeta(found: { start: number; end: number }): void {
  for (let more = scanner.enter(); more; more = scanner.next()) {
    const isId = META.match(scanner) === 0;
    const start = scanner.pos;
    scanner.skip();
    if (!isId) continue;
    found.start = start;
    found.end = scanner.pos;
  }
}
