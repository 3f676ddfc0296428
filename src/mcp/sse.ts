import type { StreamMark } from '../core/upstream-session.ts';
import { ByteStore } from './byte-store.ts';

/** One event. `event` is empty when the stream named none (then it is a `message`), `id` the last id of the stream so far. */
export interface SseEvent {
  readonly data: Buffer;
  readonly event: string;
  readonly id: string;
}

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const SPACE = 0x20;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const DATA = Buffer.from('data');
const EVENT = Buffer.from('event');
const ID = Buffer.from('id');
const RETRY = Buffer.from('retry');

/**
 * Decodes an event stream (WHATWG HTML, section 9.2.6) from chunks cut anywhere. Lines end in CR, LF or CRLF; one byte
 * order mark at the start is skipped; comments and unknown fields are ignored; an event without data is not delivered,
 * an incomplete one at the end never. Data stays bytes and is owned by the receiver; it is not checked for UTF-8.
 */
export class SseDecoder {
  /** The stream's last `retry`, in milliseconds; −1 while it sent none. */
  retryMs = -1;
  private readonly maxEventBytes: number;
  private readonly onEvent: (event: SseEvent) => void;
  /** The beginning of a line whose end has not arrived. */
  private readonly line = new ByteStore();
  /** Data lines of the event so far, each with LF. */
  private readonly data = new ByteStore();
  private event = '';
  private id = '';
  private isFirstLine = true;
  private endedInCr = false;
  private isOver = false;

  constructor(options: { maxEventBytes: number; onEvent: (event: SseEvent) => void }) {
    this.maxEventBytes = options.maxEventBytes;
    this.onEvent = options.onEvent;
  }

  /**
   * Takes the next bytes, which may be reused afterwards; `onEvent` is called from inside. False once an event exceeded
   * the limit (its lines together; a comment counts alone): everything later is ignored, the caller stops reading.
   */
  push(chunk: Uint8Array): boolean {
    let from = 0;
    if (this.endedInCr && chunk.length > 0) {
      this.endedInCr = false;
      if (chunk[0] === LF) from = 1;
    }
    while (!this.isOver && from < chunk.length) {
      const end = lineEnd(chunk, from);
      this.takeLine(chunk, from, end);
      from = this.behindLineEnd(chunk, end);
    }
    return !this.isOver;
  }

  private takeLine(chunk: Uint8Array, from: number, end: number): void {
    if (this.line.length + (end - from) + this.data.length > this.maxEventBytes) {
      this.isOver = true;
      return;
    }
    if (end === chunk.length) {
      this.line.append(chunk, from, end);
    } else if (this.line.length === 0) {
      this.endLine(chunk.subarray(from, end));
    } else {
      this.line.append(chunk, from, end);
      const line = this.line.view();
      this.endLine(line);
      this.line.clear();
    }
  }

  private behindLineEnd(chunk: Uint8Array, end: number): number {
    if (chunk[end] !== CR) return end + 1;
    if (end + 1 === chunk.length) this.endedInCr = true;
    return chunk[end + 1] === LF ? end + 2 : end + 1;
  }

  private endLine(received: Uint8Array): void {
    let line = received;
    if (this.isFirstLine && startsWith(line, BYTE_ORDER_MARK)) line = line.subarray(BYTE_ORDER_MARK.length);
    this.isFirstLine = false;
    if (line.length === 0) this.dispatch();
    else this.takeField(line);
  }

  private takeField(line: Uint8Array): void {
    const colon = line.indexOf(COLON);
    const nameEnd = colon === -1 ? line.length : colon;
    const valueStart = colon === -1 ? line.length : line[colon + 1] === SPACE ? colon + 2 : colon + 1;
    if (isName(line, nameEnd, DATA)) {
      this.data.append(line, valueStart, line.length);
      this.data.appendByte(LF);
    } else if (isName(line, nameEnd, EVENT)) {
      this.event = textOf(line, valueStart);
    } else if (isName(line, nameEnd, ID)) {
      if (!line.includes(0, valueStart)) this.id = textOf(line, valueStart);
    } else if (isName(line, nameEnd, RETRY)) {
      const text = textOf(line, valueStart);
      if (/^[0-9]{1,9}$/.test(text)) this.retryMs = Number(text);
    }
  }

  private dispatch(): void {
    const event = this.event;
    this.event = '';
    if (this.data.length === 0) return;
    const data = Buffer.from(this.data.view().subarray(0, this.data.length - 1));
    this.data.clear();
    this.onEvent({ data, event, id: this.id });
  }
}

function lineEnd(chunk: Uint8Array, from: number): number {
  let end = from;
  while (end < chunk.length) {
    const byte = chunk[end] as number;
    if (byte <= CR && (byte === LF || byte === CR)) break;
    end++;
  }
  return end;
}

function startsWith(line: Uint8Array, prefix: Uint8Array): boolean {
  return prefix.every((byte, index) => line[index] === byte);
}

function isName(line: Uint8Array, nameEnd: number, name: Uint8Array): boolean {
  return nameEnd === name.length && startsWith(line, name);
}

function textOf(line: Uint8Array, from: number): string {
  return Buffer.from(line.buffer, line.byteOffset + from, line.length - from).toString('utf8');
}

const HEAD = Buffer.from('event: message\ndata: ');
const TAIL = Buffer.from('\n\n');

/**
 * One `message` event that carries a JSON text, in one line: line breaks between its tokens (a string cannot hold one)
 * become spaces. The same JSON, and no longer than it was, whatever an upstream fills it with.
 */
export function encodeSseEvent(json: Buffer): Buffer {
  const event = Buffer.concat([HEAD, json, TAIL]);
  const end = HEAD.length + json.length;
  blank(event, LF, HEAD.length, end);
  blank(event, CR, HEAD.length, end);
  return event;
}

/** The same with the event's id and the pause before a reconnect; `mark.eventId` holds no line break. */
export function encodeMarkedEvent(json: Buffer, mark: StreamMark | undefined): Buffer {
  const event = encodeSseEvent(json);
  return mark === undefined ? event : Buffer.concat([Buffer.from(markLines(mark)), event]);
}

/** A position without a message: an event with empty data (2025-11-25, Transports). */
export function encodeMark(mark: StreamMark): string {
  return `${markLines(mark)}data: \n\n`;
}

function markLines({ eventId, retryMs }: StreamMark): string {
  return (eventId === '' ? '' : `id: ${eventId}\n`) + (retryMs < 0 ? '' : `retry: ${retryMs}\n`);
}

function blank(bytes: Buffer, byte: number, from: number, end: number): void {
  for (let at = bytes.indexOf(byte, from); at !== -1 && at < end; at = bytes.indexOf(byte, at + 1)) bytes[at] = SPACE;
}
