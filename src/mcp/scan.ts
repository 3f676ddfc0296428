import { isUtf8 } from 'node:buffer';
import { KeyTable } from './key-table.ts';
import { HEX, simpleEscape, unescapeInto } from './unescape.ts';

/** Bounds of a scan. Depth counts open containers, the outermost is 1; keys are counted over the whole text. */
export interface ScanLimits {
  readonly maxDepth: number;
  readonly maxKeys: number;
  /** Bytes of one string between its quotes, as sent. */
  readonly maxStringBytes: number;
  /** Whether repeated keys are looked for in values that are skipped too, not only in objects that are entered. */
  readonly areSkippedKeysCompared: boolean;
}

/** What is wrong with a text. `duplicate` and `keys` do not stop the scan: the text is still read to its end. */
export type ScanFault = 'grammar' | 'depth' | 'string' | 'keys' | 'duplicate';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

/** Outcomes of one step. */
const FAULT = 0;
const DONE = 1;
const FOLLOWS = 2;
type Step = typeof FAULT | typeof DONE | typeof FOLLOWS;

/** Frames: an array, an object whose keys are not compared, or (≥ 0) the key table's base of one whose keys are. */
const ARRAY = -1;
const LOOSE_OBJECT = -2;

/** Arena and frames kept between texts. */
const KEPT_ARENA_BYTES = 65_536;

const EMPTY = Buffer.alloc(0);
const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');
const NULL = Buffer.from('null');

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/**
 * Reads one JSON text (RFC 8259, strictly: no byte order mark, comments, trailing data) byte by byte and once. The
 * caller walks the objects it decides on (`enter`, `next`) and skips the other values; both check grammar, UTF-8, depth,
 * key count and repeated keys (compared as decoded). Iterative; no allocation per token; linear in the text, whatever
 * it holds. A lone surrogate escape is refused in compared keys and by `text`, and tolerated in values that are skipped.
 *
 * Use: `begin`, walk from `pos`, `finish`, and `end` in any case. One text at a time.
 */
export class JsonScanner {
  /** Offset of the next byte. */
  pos = 0;
  /** First hard fault, else first soft one, else null. */
  fault: ScanFault | null = null;
  /** A hard fault was met: nothing more is read, `enter`, `next` and `skip` say false. */
  isStuck = false;
  /** Where the decoded bytes of the last key stand: in the text, or in the arena when it had escapes. */
  keyBytes: Buffer = EMPTY;
  keyFrom = 0;
  keyTo = 0;
  private bytes: Buffer = EMPTY;
  private limits: ScanLimits = { maxDepth: 0, maxKeys: 0, maxStringBytes: 0, areSkippedKeysCompared: false };
  private frames = new Int32Array(64);
  private depth = 0;
  private keyCount = 0;
  private readonly keys = new KeyTable();
  private arena: Buffer = EMPTY;
  private arenaTop = 0;
  private stringHasEscapes = false;

  /** Starts a text; false when it is not UTF-8. */
  begin(bytes: Buffer, limits: ScanLimits): boolean {
    this.bytes = bytes;
    this.limits = limits;
    this.pos = 0;
    this.fault = null;
    this.isStuck = false;
    this.depth = 0;
    this.keyCount = 0;
    this.arenaTop = 0;
    this.keys.begin(bytes, this.arena);
    // Outside of strings only ASCII is grammatical, so checking the whole text at once is the same.
    if (!isUtf8(bytes)) return this.fail('grammar');
    this.skipSpace();
    return true;
  }

  /** True when the text was complete, with nothing behind it and without any fault. */
  finish(): boolean {
    this.skipSpace();
    if (!this.isStuck && (this.pos !== this.bytes.length || this.depth !== 0)) this.fail('grammar');
    return this.fault === null;
  }

  /** Lets go of the text. */
  end(): void {
    this.keys.end();
    this.bytes = this.keyBytes = EMPTY;
    if (this.arena.length > KEPT_ARENA_BYTES) this.arena = EMPTY;
  }

  /** The byte of the next token, −1 at the end. White space has been skipped wherever a value may stand. */
  peek(): number {
    return this.pos < this.bytes.length ? (this.bytes[this.pos] as number) : -1;
  }

  /** Whether the next value is an object. */
  get isObject(): boolean {
    return this.peek() === OPEN_OBJECT;
  }

  /** Whether the next value is an array. */
  get isArray(): boolean {
    return this.peek() === OPEN_ARRAY;
  }

  /** Whether the next value is a string. */
  get isString(): boolean {
    return this.peek() === QUOTE;
  }

  /** Whether the next value is `null`. */
  get isNull(): boolean {
    return this.peek() === 0x6e;
  }

  /** Opens the object or array that stands next. True: a value follows (of the key just read); false: empty, or a fault. */
  enter(): boolean {
    return this.startValue(true) === FOLLOWS;
  }

  /** After a value inside an entered container: true when another follows, false when it was closed, or a fault. */
  next(): boolean {
    return this.continueContainer(true) === FOLLOWS;
  }

  /** Reads over the next value, whatever it is. False on a hard fault. */
  skip(): boolean {
    const floor = this.depth;
    const areCompared = this.limits.areSkippedKeysCompared;
    let step = this.startValue(areCompared);
    while (step !== FAULT) {
      if (step === FOLLOWS) step = this.startValue(areCompared);
      else if (this.depth === floor) return true;
      else step = this.continueContainer(areCompared);
    }
    return false;
  }

  /** The string token `[start, end)` of this text (with its quotes), decoded; null when it holds a lone surrogate. */
  text(start: number, end: number): string | null {
    // Looked for in the token only: where the rest of the text has none, each of a list's names would cost a look at all of it.
    if (!this.bytes.subarray(start, end).includes(BACKSLASH)) return this.bytes.toString('utf8', start + 1, end - 1);
    this.reserveArena();
    const top = unescapeInto(this.arena, this.arenaTop, this.bytes, start + 1, end - 1);
    return top === -1 ? null : this.arena.toString('utf8', this.arenaTop, top);
  }

  /** Decoded text of the last key. */
  keyText(): string {
    return this.keyBytes.toString('utf8', this.keyFrom, this.keyTo);
  }

  private fail(fault: ScanFault): false {
    if (!this.isStuck) this.fault = fault;
    this.isStuck = true;
    return false;
  }

  private note(fault: ScanFault): void {
    this.fault ??= fault;
  }

  private skipSpace(): void {
    const bytes = this.bytes;
    let p = this.pos;
    while (p < bytes.length) {
      const byte = bytes[p] as number;
      if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) break;
      p++;
    }
    this.pos = p;
  }

  private startValue(areKeysCompared: boolean): Step {
    if (this.isStuck) return FAULT;
    const byte = this.peek();
    if (byte === QUOTE) return this.readString() ? DONE : FAULT;
    if (byte === OPEN_OBJECT) return this.openObject(areKeysCompared);
    if (byte === OPEN_ARRAY) return this.openArray();
    return this.readPlain(byte) ? DONE : FAULT;
  }

  private continueContainer(areKeysCompared: boolean): Step {
    if (this.isStuck) return FAULT;
    this.skipSpace();
    const byte = this.peek();
    const frame = this.frames[this.depth - 1] as number;
    if (byte === COMMA) {
      this.pos++;
      this.skipSpace();
      return frame === ARRAY || this.readKey(areKeysCompared) ? FOLLOWS : FAULT;
    }
    if (byte !== (frame === ARRAY ? CLOSE_ARRAY : CLOSE_OBJECT)) {
      this.fail('grammar');
      return FAULT;
    }
    return this.closeContainer();
  }

  private openObject(areKeysCompared: boolean): Step {
    if (!this.push(areKeysCompared ? this.keys.top : LOOSE_OBJECT)) return FAULT;
    if (this.peek() === CLOSE_OBJECT) return this.closeContainer();
    return this.readKey(areKeysCompared) ? FOLLOWS : FAULT;
  }

  private openArray(): Step {
    if (!this.push(ARRAY)) return FAULT;
    return this.peek() === CLOSE_ARRAY ? this.closeContainer() : FOLLOWS;
  }

  private push(frame: number): boolean {
    if (this.depth === this.limits.maxDepth) return this.fail('depth');
    if (this.depth === this.frames.length) {
      const larger = new Int32Array(this.depth * 2);
      larger.set(this.frames);
      this.frames = larger;
    }
    this.frames[this.depth++] = frame;
    this.pos++;
    this.skipSpace();
    return true;
  }

  private closeContainer(): Step {
    const frame = this.frames[--this.depth] as number;
    if (frame >= 0) this.keys.close(frame);
    this.pos++;
    return DONE;
  }

  private readKey(isCompared: boolean): boolean {
    const start = this.pos + 1;
    if (this.peek() !== QUOTE) return this.fail('grammar');
    if (!this.readString()) return false;
    if (isCompared && !this.compareKey(start, this.pos - 1)) return false;
    if (++this.keyCount > this.limits.maxKeys) this.note('keys');
    this.skipSpace();
    if (this.peek() !== COLON) return this.fail('grammar');
    this.pos++;
    this.skipSpace();
    return true;
  }

  private compareKey(start: number, end: number): boolean {
    this.keyBytes = this.bytes;
    this.keyFrom = start;
    this.keyTo = end;
    if (this.stringHasEscapes && !this.decodeKey(start, end)) return this.fail('grammar');
    // With too many keys the text is refused anyway: only its id is still looked for.
    if (this.fault !== null) return true;
    const isInText = this.keyBytes === this.bytes;
    const base = this.frames[this.depth - 1] as number;
    if (!this.keys.add(base, this.keyHash(), isInText ? this.keyFrom : ~this.keyFrom, this.keyTo)) this.note('duplicate');
    return true;
  }

  private decodeKey(start: number, end: number): boolean {
    this.reserveArena();
    const top = unescapeInto(this.arena, this.arenaTop, this.bytes, start, end);
    if (top === -1) return false;
    this.keyBytes = this.arena;
    this.keyFrom = this.arenaTop;
    this.keyTo = top;
    this.arenaTop = top;
    return true;
  }

  /** Decoded strings are never longer than their tokens, so that an arena as long as the text holds all keys and one string. */
  private reserveArena(): void {
    if (this.arena.length >= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.bytes.length, 1024));
    this.arena.copy(larger, 0, 0, this.arenaTop);
    this.arena = larger;
    this.keys.useArena(larger);
  }

  private keyHash(): number {
    const bytes = this.keyBytes;
    let hash = 0x811c9dc5 | 0;
    for (let p = this.keyFrom; p < this.keyTo; p++) hash = Math.imul(hash ^ (bytes[p] as number), 0x01000193);
    return hash;
  }

  private readString(): boolean {
    const bytes = this.bytes;
    const length = bytes.length;
    const start = this.pos + 1;
    let p = start;
    let hasEscapes = false;
    for (;;) {
      let byte = 0;
      while (p < length && (byte = bytes[p] as number) !== QUOTE && byte !== BACKSLASH && byte >= 0x20) p++;
      if (p >= length) return this.fail('grammar');
      if (byte === QUOTE) break;
      if (byte !== BACKSLASH) return this.fail('grammar');
      hasEscapes = true;
      p = this.escapeEnd(p);
      if (p === -1) return this.fail('grammar');
    }
    this.stringHasEscapes = hasEscapes;
    this.pos = p + 1;
    return p - start <= this.limits.maxStringBytes || this.fail('string');
  }

  /** Offset behind the escape that begins at `at`, −1 when it is none. */
  private escapeEnd(at: number): number {
    const bytes = this.bytes;
    const letter = bytes[at + 1];
    if (letter === undefined) return -1;
    if (simpleEscape(letter) !== 0) return at + 2;
    if (letter !== 0x75 || at + 6 > bytes.length) return -1;
    for (let p = at + 2; p < at + 6; p++) if (HEX[bytes[p] as number] === 255) return -1;
    return at + 6;
  }

  private readPlain(byte: number): boolean {
    if (byte === 0x74) return this.readLiteral(TRUE);
    if (byte === 0x66) return this.readLiteral(FALSE);
    if (byte === 0x6e) return this.readLiteral(NULL);
    return this.readNumber();
  }

  private readLiteral(literal: Buffer): boolean {
    for (let i = 0; i < literal.length; i++) if (this.bytes[this.pos + i] !== literal[i]) return this.fail('grammar');
    this.pos += literal.length;
    return true;
  }

  private readNumber(): boolean {
    const bytes = this.bytes;
    let p = this.pos;
    if (bytes[p] === 0x2d) p++;
    if (!isDigit(bytes[p])) return this.fail('grammar');
    p = bytes[p] === 0x30 ? p + 1 : this.digitsEnd(p);
    if (bytes[p] === 0x2e) {
      if (!isDigit(bytes[++p])) return this.fail('grammar');
      p = this.digitsEnd(p);
    }
    if (bytes[p] === 0x65 || bytes[p] === 0x45) {
      p++;
      if (bytes[p] === 0x2b || bytes[p] === 0x2d) p++;
      if (!isDigit(bytes[p])) return this.fail('grammar');
      p = this.digitsEnd(p);
    }
    this.pos = p;
    return true;
  }

  private digitsEnd(from: number): number {
    let p = from;
    while (p < this.bytes.length && isDigit(this.bytes[p])) p++;
    return p;
  }
}

/** Whether `[start, end)` is a JSON string, or a number without fraction and exponent: what ids and tokens may be. */
export function isIdToken(bytes: Uint8Array, start: number, end: number): boolean {
  if (bytes[start] === QUOTE) return true;
  const first = bytes[start] === 0x2d ? start + 1 : start;
  for (let p = first; p < end; p++) if (!isDigit(bytes[p])) return false;
  return first < end;
}
