import type { IncomingHttpHeaders } from 'node:http';

/** Status line and headers together (RFC 9112 section 2.1); trailers count anew. */
const MAX_HEAD_BYTES = 16 * 1024;
/** A chunk's size line with its extensions (RFC 9112 section 7.1). */
const MAX_CHUNK_LINE_BYTES = 256;
const HEAD_END = Buffer.from('\r\n\r\n');
const CR = 13;
const LF = 10;

/** What a response turns out to be, in order. `onData` gets views that are valid during the call only. */
export interface ParserSink {
  onHead(status: number, headers: IncomingHttpHeaders): void;
  onData(view: Buffer): void;
  onEnd(): void;
}

type State = 'idle' | 'head' | 'length' | 'close' | 'size' | 'chunk' | 'chunk-end' | 'trailer' | 'broken';

interface Head {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly isReusable: boolean;
  /** −1 when not said. */
  readonly keepAliveSecs: number;
  /** Null for what is refused. */
  readonly framing: State | null;
  /** Of the body, with the framing `length`. */
  readonly bodyBytes: number;
}

/** Lower-case names of the few headers that matter here; repeated ones joined by a comma. */
type Fields = ReadonlyMap<string, string>;

const KEPT: ReadonlySet<string> = new Set([
  'content-type',
  'content-length',
  'content-encoding',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'mcp-session-id',
]);
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const CHUNK_LINE = /^([0-9A-Fa-f]{1,8})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/;
const LENGTH = /^(?:0|[1-9]\d{0,14})$/;

/**
 * Reads HTTP/1.1 responses of one connection, strictly (RFC 9112): whatever could be framed in two ways is an error, and so
 * is anything that comes after a response. A broken parser stays broken; its connection must be closed.
 */
export class ResponseParser {
  readonly #sink: ParserSink;
  #state: State = 'idle';
  /** Bytes of an unfinished head, size line or trailer. */
  #held: Buffer | null = null;
  #left = 0;
  /** The last head and its text: a server's answers often differ in nothing but the body. */
  #known: Head | null = null;
  #knownText = '';
  /** The connection can carry another request after this response. */
  isReusable = false;
  /** Seconds of `Keep-Alive: timeout`, −1 when not said. */
  keepAliveSecs = -1;

  constructor(sink: ParserSink) {
    this.#sink = sink;
  }

  /** A request has been written: its response is awaited. */
  begin(): void {
    this.#state = 'head';
    this.isReusable = false;
  }

  /** False: the peer broke the protocol. Nothing more is delivered then. */
  push(bytes: Buffer): boolean {
    let rest: Buffer | null = bytes;
    while (rest !== null && rest.length > 0) rest = this.#step(rest);
    return this.#state !== 'broken';
  }

  /** The peer has closed. True when that ends the response properly. */
  end(): boolean {
    if (this.#state !== 'close') return false;
    this.#finish();
    return true;
  }

  /** Consumes the beginning and returns what follows, or null when all is consumed or lost. */
  #step(bytes: Buffer): Buffer | null {
    switch (this.#state) {
      case 'head':
        return this.#head(bytes);
      case 'length':
      case 'chunk':
        return this.#data(bytes);
      case 'close':
        this.#sink.onData(bytes);
        return null;
      case 'size':
        return this.#size(bytes);
      case 'chunk-end':
        return this.#chunkEnd(bytes);
      case 'trailer':
        return this.#trailer(bytes);
      default:
        return this.#break();
    }
  }

  #break(): null {
    this.#state = 'broken';
    this.#held = null;
    return null;
  }

  #join(bytes: Buffer): Buffer {
    const all = this.#held === null ? bytes : Buffer.concat([this.#held, bytes]);
    this.#held = null;
    return all;
  }

  /** Keeps an unfinished part for the next chunk; the view's memory is reused, so it is copied. */
  #hold(bytes: Buffer, limit: number): null {
    if (bytes.length > limit) return this.#break();
    this.#held = Buffer.from(bytes);
    return null;
  }

  #head(bytes: Buffer): Buffer | null {
    const all = this.#join(bytes);
    const end = all.indexOf(HEAD_END);
    if (end < 0) return this.#hold(all, MAX_HEAD_BYTES);
    if (end > MAX_HEAD_BYTES) return this.#break();
    const head = this.#read(all.toString('latin1', 0, end));
    if (head === null || head.status === 101) return this.#break();
    const rest = all.subarray(end + HEAD_END.length);
    return head.status < 200 ? rest : this.#begun(head, rest);
  }

  #read(text: string): Head | null {
    if (text !== this.#knownText) {
      this.#known = readHead(text);
      this.#knownText = text;
    }
    return this.#known;
  }

  #begun(head: Head, rest: Buffer): Buffer | null {
    if (head.framing === null) return this.#break();
    this.isReusable = head.isReusable;
    this.keepAliveSecs = head.keepAliveSecs;
    this.#left = head.bodyBytes;
    this.#state = head.framing;
    this.#sink.onHead(head.status, head.headers);
    if (this.#left === 0 && head.framing === 'length') this.#finish();
    return rest;
  }

  #data(bytes: Buffer): Buffer | null {
    const taken = bytes.length <= this.#left ? bytes : bytes.subarray(0, this.#left);
    this.#left -= taken.length;
    const isChunk = this.#state === 'chunk';
    if (this.#left === 0 && isChunk) this.#state = 'chunk-end';
    this.#sink.onData(taken);
    if (this.#left === 0 && !isChunk) this.#finish();
    return bytes.subarray(taken.length);
  }

  /** One line with its CRLF, or null while it is incomplete (then it is held) or broken. */
  #line(bytes: Buffer, limit: number): { readonly text: string; readonly rest: Buffer } | null {
    const all = this.#join(bytes);
    const end = all.indexOf(LF);
    if (end < 0) return this.#hold(all, limit);
    if (end > limit || end === 0 || all[end - 1] !== CR) return this.#break();
    return { text: all.toString('latin1', 0, end - 1), rest: all.subarray(end + 1) };
  }

  #size(bytes: Buffer): Buffer | null {
    const line = this.#line(bytes, MAX_CHUNK_LINE_BYTES);
    if (line === null) return null;
    const size = CHUNK_LINE.exec(line.text)?.[1];
    if (size === undefined) return this.#break();
    this.#left = Number.parseInt(size, 16);
    this.#state = this.#left === 0 ? 'trailer' : 'chunk';
    if (this.#state === 'trailer') this.#left = MAX_HEAD_BYTES;
    return line.rest;
  }

  #chunkEnd(bytes: Buffer): Buffer | null {
    const all = this.#join(bytes);
    if (all.length < 2) return all[0] === CR ? this.#hold(all, 2) : this.#break();
    if (all[0] !== CR || all[1] !== LF) return this.#break();
    this.#state = 'size';
    return all.subarray(2);
  }

  /** Trailers are read and dropped (RFC 9112 section 7.1.2); `#left` bounds them. */
  #trailer(bytes: Buffer): Buffer | null {
    const line = this.#line(bytes, this.#left);
    if (line === null) return null;
    this.#left -= line.text.length + 2;
    if (line.text === '') this.#finish();
    else if (this.#left <= 0 || !isField(line.text)) return this.#break();
    return line.rest;
  }

  #finish(): void {
    this.#state = 'idle';
    this.#sink.onEnd();
  }
}

function isField(line: string): boolean {
  const colon = line.indexOf(':');
  return colon > 0 && FIELD_NAME.test(line.slice(0, colon)) && FIELD_VALUE.test(line.slice(colon + 1));
}

function readHead(text: string): Head | null {
  const lines = text.split('\r\n');
  const status = STATUS_LINE.exec(lines[0] ?? '');
  if (status === null) return null;
  const fields = new Map<string, string>();
  for (let index = 1; index < lines.length; index++) {
    const line = lines[index] ?? '';
    if (!isField(line)) return null;
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    if (!KEPT.has(name)) continue;
    const value = line.slice(colon + 1).trim();
    const known = fields.get(name);
    fields.set(name, known === undefined ? value : `${known}, ${value}`);
  }
  return understood(Number(status[2]), status[1] === '0', fields);
}

/** What a head means for its connection and body, worked out once for all heads that are the same. */
function understood(status: number, isHttp10: boolean, fields: Fields): Head {
  const { framing, bodyBytes } = frame(status, isHttp10, fields);
  const isKept = !isHttp10 && !/(?:^|,)[\t ]*close[\t ]*(?:,|$)/i.test(fields.get('connection') ?? '');
  return {
    status,
    headers: {
      'content-type': fields.get('content-type'),
      'content-length': fields.get('content-length'),
      'content-encoding': fields.get('content-encoding'),
      'mcp-session-id': fields.get('mcp-session-id'),
    },
    isReusable: isKept && framing !== 'close',
    keepAliveSecs: Number(/(?:^|[,;\t ])timeout=(\d{1,6})/i.exec(fields.get('keep-alive') ?? '')?.[1] ?? -1),
    framing,
    bodyBytes,
  };
}

/** RFC 9112 section 6.3; null for what is refused: both framings, other codings than `chunked`, doubtful lengths. */
function frame(status: number, isHttp10: boolean, fields: Fields): { readonly framing: State | null; readonly bodyBytes: number } {
  const coding = fields.get('transfer-encoding');
  const length = fields.get('content-length');
  if (coding !== undefined) {
    const isChunked = length === undefined && !isHttp10 && coding.toLowerCase() === 'chunked';
    return { framing: isChunked ? 'size' : null, bodyBytes: 0 };
  }
  if (status === 204 || status === 304) return { framing: 'length', bodyBytes: 0 };
  if (length === undefined) return { framing: 'close', bodyBytes: 0 };
  return LENGTH.test(length) ? { framing: 'length', bodyBytes: Number(length) } : { framing: null, bodyBytes: 0 };
}
