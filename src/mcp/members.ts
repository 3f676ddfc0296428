import type { KeyNames } from './key-names.ts';
import { JsonScanner, type ScanLimits } from './scan.ts';

const LIMITS: ScanLimits = { maxDepth: 512, maxKeys: Infinity, maxStringBytes: Infinity, areSkippedKeysCompared: false };
const COMMA = 0x2c;
const OPEN = Buffer.from('{');
const SEPARATOR = Buffer.from(',');
const CLOSE = Buffer.from('}');

const scanner = new JsonScanner();

/** A JSON object (which has been scanned) without the members that `dropped` names; the others stay byte for byte. */
export function withoutMembers(object: Buffer, dropped: KeyNames): Buffer {
  const parts: Buffer[] = [OPEN];
  try {
    scanner.begin(object, LIMITS);
    let from = 1;
    for (let more = scanner.enter(); more; more = scanner.next()) {
      const isDropped = dropped.match(scanner) >= 0;
      scanner.skip();
      if (!isDropped) parts.push(...(parts.length > 1 ? [SEPARATOR] : []), memberAt(object, from, scanner.pos));
      from = scanner.pos;
    }
  } finally {
    scanner.end();
  }
  parts.push(CLOSE);
  return Buffer.concat(parts);
}

/** A JSON object (which has been scanned) with members before its own; `members` is JSON text without braces. */
export function withMembers(object: Buffer, members: string): Buffer {
  const rest = object.subarray(1);
  const isEmpty = rest.toString('latin1', 0, Math.min(rest.length, 64)).trimStart().startsWith('}');
  return Buffer.concat([Buffer.from(`{${members}${isEmpty ? '' : ','}`), rest]);
}

function memberAt(object: Buffer, from: number, to: number): Buffer {
  let start = from;
  while (object[start] === COMMA || (object[start] as number) <= 0x20) start += 1;
  return object.subarray(start, to);
}
