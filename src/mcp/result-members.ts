import { KeyNames } from './key-names.ts';
import { JsonScanner, type ScanLimits } from './scan.ts';

const LIMITS: ScanLimits = { maxDepth: 512, maxKeys: Infinity, maxStringBytes: Infinity, areSkippedKeysCompared: false };
const TOP = new KeyNames(['result']);

const scanner = new JsonScanner();

/**
 * Where the members of a response's `result` stand that `names` names: pairs of offsets of their values in the order of the
 * names, −1 when absent. Null when the message is no response with a result that is an object.
 */
export function resultMembers(reply: Buffer, names: KeyNames, count: number): Int32Array | null {
  const spans = new Int32Array(2 * count).fill(-1);
  let isFound = false;
  try {
    if (!scanner.begin(reply, LIMITS) || !scanner.isObject) return null;
    for (let more = scanner.enter(); more; more = scanner.next()) {
      if (TOP.match(scanner) === 0 && scanner.isObject) isFound = readResult(spans, names);
      else scanner.skip();
    }
    return scanner.finish() && isFound ? spans : null;
  } finally {
    scanner.end();
  }
}

function readResult(spans: Int32Array, names: KeyNames): boolean {
  for (let more = scanner.enter(); more; more = scanner.next()) {
    const key = names.match(scanner);
    const start = scanner.pos;
    scanner.skip();
    if (key < 0) continue;
    spans[2 * key] = start;
    spans[2 * key + 1] = scanner.pos;
  }
  return true;
}
