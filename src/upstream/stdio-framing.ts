import { Pieces } from './pieces.ts';

const NEWLINE = 10;
const RETURN = 13;
const SPACE = 32;

/** Legal inside JSON strings, and some line readers split there: next line, line separator, paragraph separator. */
const SEPARATORS: ReadonlyMap<Buffer, string> = new Map(['\u0085', '\u2028', '\u2029'].map((char) => [Buffer.from(char), char]));

/**
 * One JSON message as one line, a new buffer. A message may hold line breaks between its tokens: they become spaces, or a
 * client could put a second message of its own making on the wire. Inside strings JSON has none; U+0085, U+2028 and
 * U+2029, which may stand there, are escaped.
 */
export function toLine(bytes: Buffer): Buffer {
  const text = withoutSeparators(bytes);
  const line = Buffer.allocUnsafe(text.length + 1);
  text.copy(line);
  line[text.length] = SPACE;
  blank(line, NEWLINE);
  blank(line, RETURN);
  line[text.length] = NEWLINE;
  return line;
}

function withoutSeparators(bytes: Buffer): Buffer {
  let clean = bytes;
  for (const [encoded, char] of SEPARATORS) {
    if (!clean.includes(encoded)) continue;
    const escape = `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
    clean = Buffer.from(clean.toString('utf8').replaceAll(char, escape));
  }
  return clean;
}

function blank(bytes: Buffer, byte: number): void {
  for (let at = bytes.indexOf(byte); at >= 0; at = bytes.indexOf(byte, at + 1)) bytes[at] = SPACE;
}

/** Cuts a byte stream into lines, without their line ends; empty lines are skipped. Holds at most one unfinished line. */
export class LineFramer {
  readonly #maxLineBytes: number;
  readonly #onLine: (line: Buffer) => void;
  readonly #parts = new Pieces();
  #partBytes = 0;

  constructor(maxLineBytes: number, onLine: (line: Buffer) => void) {
    this.#maxLineBytes = maxLineBytes;
    this.#onLine = onLine;
  }

  /** False when a line is over the limit: nothing of it is kept, and the stream is of no use any more. */
  push(chunk: Buffer): boolean {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      if (!this.#keep(chunk.subarray(start, end))) return false;
      this.#emit();
      start = end + 1;
    }
    return this.#keep(chunk.subarray(start));
  }

  #keep(part: Buffer): boolean {
    this.#partBytes += part.length;
    if (this.#partBytes > this.#maxLineBytes) {
      this.#parts.clear();
      return false;
    }
    this.#parts.push(part);
    return true;
  }

  #emit(): void {
    const whole = this.#parts.take();
    this.#partBytes = 0;
    const line = whole.at(-1) === RETURN ? whole.subarray(0, -1) : whole;
    if (line.length > 0) this.#onLine(line);
  }
}
