import { StringDecoder } from 'node:string_decoder';

const MAX_LINE_CHARS = 4096;

/** Cuts a child's stderr into lines of at most 4,096 characters; what is longer is cut off and marked. */
export class StderrLines {
  readonly #onLine: (line: string) => void;
  readonly #decoder = new StringDecoder('utf8');
  #line = '';
  #isCut = false;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  push(chunk: Buffer): void {
    const pieces = this.#decoder.write(chunk).split('\n');
    const rest = pieces.pop() ?? '';
    for (const piece of pieces) {
      this.#append(piece);
      this.#emit();
    }
    this.#append(rest);
  }

  /** The stream ended: what is left is the last line. */
  end(): void {
    this.#append(this.#decoder.end());
    this.#emit();
  }

  #append(piece: string): void {
    const room = MAX_LINE_CHARS - this.#line.length;
    this.#line += piece.slice(0, room);
    this.#isCut ||= piece.length > room;
  }

  #emit(): void {
    const line = this.#isCut ? `${this.#line}…` : this.#line.trimEnd();
    this.#line = '';
    this.#isCut = false;
    if (line !== '') this.#onLine(line);
  }
}
