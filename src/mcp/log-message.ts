import { KeyNames } from './key-names.ts';
import { JsonScanner, type ScanLimits } from './scan.ts';
import { splice } from './splice.ts';

const LIMITS: ScanLimits = { maxDepth: 512, maxKeys: Infinity, maxStringBytes: Infinity, areSkippedKeysCompared: false };
const TOP = new KeyNames(['params']);
const PARAMS = new KeyNames(['logger']);

const scanner = new JsonScanner();

/**
 * A log message (`notifications/message`, which has been scanned) that says whose it is: `prefix` stands before its `logger`, or `name` in place of one
 * that is missing or no string. The rest stays byte for byte.
 */
export function withLogger(bytes: Buffer, prefix: string, name: string): Buffer {
  const found = loggerOf(bytes);
  if (found.paramsAt < 0) return bytes;
  if (found.start < 0)
    return splice(bytes, [
      { start: found.paramsAt, end: found.paramsAt, text: `"logger":${JSON.stringify(name)}${found.isEmpty ? '' : ','}` },
    ]);
  const text = found.text === null ? JSON.stringify(name) : JSON.stringify(prefix + found.text);
  return splice(bytes, [{ start: found.start, end: found.end, text }]);
}

interface Found {
  /** Behind the brace that opens `params`; −1 without them. */
  paramsAt: number;
  isEmpty: boolean;
  /** Of the value of `logger`; −1 without one. */
  start: number;
  end: number;
  /** Null when it is no string. */
  text: string | null;
}

function loggerOf(bytes: Buffer): Found {
  const found: Found = { paramsAt: -1, isEmpty: true, start: -1, end: -1, text: null };
  try {
    scanner.begin(bytes, LIMITS);
    for (let more = scanner.enter(); more; more = scanner.next()) {
      if (TOP.match(scanner) === 0 && scanner.isObject) readParams(found);
      else scanner.skip();
    }
  } finally {
    scanner.end();
  }
  return found;
}

function readParams(found: Found): void {
  found.paramsAt = scanner.pos + 1;
  for (let more = scanner.enter(); more; more = scanner.next()) {
    found.isEmpty = false;
    const { pos: start, isString } = scanner;
    const isLogger = PARAMS.match(scanner) === 0;
    scanner.skip();
    if (!isLogger) continue;
    found.start = start;
    found.end = scanner.pos;
    found.text = isString ? scanner.text(start, scanner.pos) : null;
  }
}
