import type { Envelope } from '../core/envelope.ts';
import { KeyNames } from './key-names.ts';
import { isFailure, type JsonLimits, parseMessage } from './parse.ts';
import { JsonScanner, type ScanLimits } from './scan.ts';
import { splice } from './splice.ts';

/** What a request is about, and where in its bytes the name stands. */
export interface NamedPart {
  readonly kind: 'name' | 'uri';
  /** Decoded. */
  readonly text: string;
  /** The raw JSON string. */
  readonly start: number;
  readonly end: number;
}

const PARAMS = new KeyNames(['name', 'ref']);
const NAME = 0;
const REF = 1;
/** `ref` of `completion/complete` (2025-11-25, server/utilities/completion). */
const REFERENCE = new KeyNames(['type', 'name', 'uri']);

/** The message was parsed before: its bounds hold already. */
const LIMITS: ScanLimits = { maxDepth: Infinity, maxKeys: Infinity, maxStringBytes: Infinity, areSkippedKeysCompared: false };
const REPARSED: JsonLimits = { maxDepth: Infinity, maxKeys: Infinity, maxStringBytes: Infinity };

const scanner = new JsonScanner();

/** A string value at the scanner, with its place; null when it is none. Reads over it. */
function readText(): Omit<NamedPart, 'kind'> | null {
  const { pos: start, isString } = scanner;
  if (!scanner.skip() || !isString) return null;
  const text = scanner.text(start, scanner.pos);
  return text === null ? null : { text, start, end: scanner.pos };
}

/** `params.name` of a call or prompt, or what `params.ref` of a completion names; null when there is no such thing, or no single one. */
export function namedPartOf(message: Envelope): NamedPart | null {
  const { bytes, paramsStart, paramsEnd, method } = message;
  if (paramsStart < 0) return null;
  const wanted = method === 'completion/complete' ? REF : NAME;
  let part: NamedPart | null = null;
  try {
    if (!scanner.begin(bytes.subarray(paramsStart, paramsEnd), LIMITS) || !scanner.isObject) return null;
    for (let more = scanner.enter(); more; more = scanner.next()) {
      if (PARAMS.match(scanner) !== wanted) scanner.skip();
      else part = wanted === REF ? readReference() : readName();
    }
    if (!scanner.finish()) return null;
  } finally {
    scanner.end();
  }
  return part === null ? null : { ...part, start: part.start + paramsStart, end: part.end + paramsStart };
}

function readName(): NamedPart | null {
  const name = readText();
  return name === null ? null : { kind: 'name', ...name };
}

/** A reference that has a name and a URI, or a key that could pass for one of them, refers to nothing certain. */
function readReference(): NamedPart | null {
  if (!scanner.isObject) {
    scanner.skip();
    return null;
  }
  let isSound = true;
  const found: [type: string, name: NamedPart | null, uri: NamedPart | null] = ['', null, null];
  for (let more = scanner.enter(); more; more = scanner.next()) {
    const key = REFERENCE.match(scanner);
    if (key === -1 && REFERENCE.isVariant(scanner)) isSound = false;
    const text = readText();
    if (key === 0) found[0] = text?.text ?? '';
    if (key === 1 && text !== null) found[1] = { kind: 'name', ...text };
    if (key === 2 && text !== null) found[2] = { kind: 'uri', ...text };
  }
  const [type, name, uri] = found;
  if (!isSound || (name !== null && uri !== null)) return null;
  return type === 'ref/prompt' ? name : type === 'ref/resource' ? uri : null;
}

/** The same message with another name in that place, read anew: its envelope is that of the bytes that are sent. */
export function renamed(message: Envelope, { start, end }: NamedPart, name: string): Envelope {
  const bytes = splice(message.bytes, [{ start, end, text: JSON.stringify(name) }]);
  const parsed = parseMessage(bytes, REPARSED);
  if (isFailure(parsed)) throw new Error(`renaming made ${parsed.refusal.code} of a message that was sound`);
  return parsed;
}
