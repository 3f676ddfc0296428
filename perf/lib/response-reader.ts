/** Receives the responses of one connection, whole. Texts are Latin-1: a character per byte. */
export type OnResponse = (status: number, body: string) => void;

/**
 * Reads HTTP/1.1 responses to requests sent one after the other: with a length, in chunks, or without a body. Made for servers
 * under measurement; throws on what it does not understand.
 */
export class ResponseReader {
  readonly #onResponse: OnResponse;
  #text = '';

  constructor(onResponse: OnResponse) {
    this.#onResponse = onResponse;
  }

  push(chunk: Buffer): void {
    this.#text = this.#text === '' ? chunk.toString('latin1') : this.#text + chunk.toString('latin1');
    while (this.#text !== '' && this.#take());
  }

  /** True when a whole response was there. */
  #take(): boolean {
    const headEnd = this.#text.indexOf('\r\n\r\n');
    if (headEnd < 0) return false;
    const head = this.#text.slice(0, headEnd).toLowerCase();
    const status = Number(head.slice(9, 12));
    const bodyAt = headEnd + 4;
    if (head.includes('\r\ntransfer-encoding: chunked')) return this.#takeChunks(status, bodyAt);
    const length = /\r\ncontent-length: (\d+)/.exec(head)?.[1];
    if (length === undefined && status !== 204) throw new Error(`a response without a length: ${head}`);
    const end = bodyAt + Number(length ?? 0);
    if (this.#text.length < end) return false;
    this.#finish(status, this.#text.slice(bodyAt, end), end);
    return true;
  }

  #takeChunks(status: number, bodyAt: number): boolean {
    let body = '';
    for (let at = bodyAt; ; ) {
      const lineEnd = this.#text.indexOf('\r\n', at);
      if (lineEnd < 0) return false;
      const size = Number.parseInt(this.#text.slice(at, lineEnd), 16);
      if (!(size >= 0)) throw new Error(`a chunk without a size: ${this.#text.slice(at, lineEnd)}`);
      const end = lineEnd + 2 + size + 2;
      if (this.#text.length < end) return false;
      if (size === 0) {
        this.#finish(status, body, end);
        return true;
      }
      body += this.#text.slice(lineEnd + 2, end - 2);
      at = end;
    }
  }

  #finish(status: number, body: string, end: number): void {
    this.#text = this.#text.slice(end);
    this.#onResponse(status, body);
  }
}
