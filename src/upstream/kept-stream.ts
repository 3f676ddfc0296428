import type { Refusal } from '../core/refusal.ts';
import type { Listening, StreamMark, StreamSink } from '../core/upstream-session.ts';
import { ownBytes } from '../mcp/own-bytes.ts';
import type { EventLine, EventMemory, KeptEvent } from './event-store.ts';

/** How long a client waits before it comes back. */
const RETRY_MS = 1000;

/** What the streams of a session have in common. */
export interface StreamTerms {
  /** Null: nothing is kept, and events have no ids. */
  readonly memory: EventMemory | null;
  /** A stream begins with a position (2025-11-25, Transports); clients of older revisions do not expect an event without data. */
  readonly isPrimed: boolean;
}

/**
 * One stream of a session, of the answer to a request or a standing one: what was said in it, whoever reads it now. At most one reads at
 * a time; who comes later takes it over.
 */
export class KeptStream implements EventLine {
  readonly events: KeptEvent[] = [];
  /** Within its session. */
  readonly name: string;
  /** Nothing more will be said. */
  isOver = false;
  /** Somebody has come to read it. */
  isTakenUp = false;
  readonly #terms: StreamTerms;
  readonly #onForgotten: (stream: KeptStream) => void;
  /** Number of the last event, kept or not. */
  #last = 0;
  #reader: StreamReader | null = null;

  /** `onForgotten`: it is over, and nothing of it is left. */
  constructor(name: string, terms: StreamTerms, onForgotten: (stream: KeptStream) => void) {
    this.name = name;
    this.#terms = terms;
    this.#onForgotten = onForgotten;
  }

  /** It can be gone on with from an event of it. */
  get isKept(): boolean {
    return this.#terms.memory !== null;
  }

  get isRead(): boolean {
    return this.#reader !== null;
  }

  /** Its reader does not keep up. */
  get isSlow(): boolean {
    return this.#reader?.isSlow === true;
  }

  /** The position before the first event; null when clients do not know such. */
  get start(): StreamMark | null {
    return this.isKept && this.#terms.isPrimed ? { eventId: this.#idOf(0), retryMs: RETRY_MS } : null;
  }

  /** What a reader at this position would have to be told is gone, and it is all that is left: the end. */
  isLostAt(position: number): boolean {
    return this.isOver && position < this.#last && this.events.at(-1)?.number !== this.#last;
  }

  /** Keeps a message and tells who reads; its position. */
  say(bytes: Buffer, isResponse: boolean): StreamMark | undefined {
    this.#last += 1;
    const event = { number: this.#last, bytes: this.isKept ? ownBytes(bytes) : bytes, isResponse, line: this };
    this.#terms.memory?.keep(event);
    this.#reader?.offer(event);
    return this.markOf(event);
  }

  markOf({ number }: KeptEvent): StreamMark | undefined {
    return this.isKept ? { eventId: this.#idOf(number), retryMs: -1 } : undefined;
  }

  /** The first event behind a position that is still there. */
  after(position: number): KeptEvent | undefined {
    return this.events.find(({ number }) => number > position);
  }

  /** Somebody reads from behind this position. */
  read(sink: StreamSink, position: number): Listening {
    this.isTakenUp = true;
    this.#reader?.end(null, 'is read elsewhere');
    const reader = new StreamReader(this, sink, position, () => this.#left(reader));
    this.#reader = reader;
    queueMicrotask(() => reader.open());
    return reader;
  }

  /** Everything has been said: who reads is told when it has all. */
  over(): void {
    this.isOver = true;
    this.#reader?.pump();
    if (this.events.length === 0) this.#onForgotten(this);
  }

  /** The end, whatever is left. */
  end(refusal: Refusal | null, detail: string): void {
    this.#reader?.end(refusal, detail);
  }

  forget(): void {
    this.#terms.memory?.forget(this);
    this.#onForgotten(this);
  }

  emptied(): void {
    if (this.isOver) this.#onForgotten(this);
  }

  #left(reader: StreamReader): void {
    if (this.#reader === reader) this.#reader = null;
  }

  #idOf(number: number): string {
    return `${this.name}.${number}`;
  }
}

/** One client at one stream. */
class StreamReader implements Listening {
  isSlow = false;
  readonly #stream: KeptStream;
  readonly #sink: StreamSink;
  readonly #onLeft: () => void;
  #position: number;
  #isOpen = false;
  #isOver = false;

  constructor(stream: KeptStream, sink: StreamSink, position: number, onLeft: () => void) {
    this.#stream = stream;
    this.#sink = sink;
    this.#position = position;
    this.#onLeft = onLeft;
  }

  open(): void {
    if (this.#isOver) return;
    this.#isOpen = true;
    this.#sink.onOpen();
    const { start } = this.#stream;
    if (start !== null && this.#position === 0) this.#sink.onMark(start);
    this.pump();
  }

  /** What is said now; a client that is behind finds it among what is kept. */
  offer(event: KeptEvent): void {
    if (this.#isOpen && !this.isSlow) this.#deliver(event);
  }

  /** As much of what was said as the client takes. */
  pump(): void {
    while (this.#isOpen && !this.isSlow && !this.#isOver) {
      const next = this.#stream.after(this.#position);
      if (next !== undefined) this.#deliver(next);
      else if (this.#stream.isOver) this.end(null, 'ended');
      else return;
    }
  }

  resume(): void {
    this.isSlow = false;
    this.pump();
  }

  leave(): void {
    this.#isOver = true;
    this.#onLeft();
  }

  end(refusal: Refusal | null, detail: string): void {
    if (this.#isOver) return;
    this.leave();
    this.#sink.onEnd(refusal, detail);
  }

  #deliver(event: KeptEvent): void {
    this.#position = event.number;
    this.isSlow = !this.#sink.onMessage(event.bytes, event.isResponse, this.#stream.markOf(event));
  }
}
