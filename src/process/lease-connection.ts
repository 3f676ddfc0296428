import type { Socket } from 'node:net';
import type { LimitAuthority } from '../core/limit.ts';
import type { LeaseRecall, SlotAnswer, SlotAsk } from '../limit/lease-port.ts';
import { FrameReader, framed, HEADER_BYTES } from './frames.ts';
import { writeAnswers, writeRecalls } from './lease-answers.ts';
import { readBatch } from './lease-batches.ts';

/** Answers that may wait for a worker to read them; one that lets more wait is stuck. */
const MAX_BACKLOG_BYTES = 1_048_576;
const ANSWERS_PER_FRAME = 1024;
/** With keys of at most 512 bytes they fit into a frame. */
const RECALLS_PER_FRAME = 1024;
/** Recalls of one turn, so that many keys at once do not make a worker look stuck: number and length of each key, and the key in UTF-8. */
const MAX_RECALL_BYTES = MAX_BACKLOG_BYTES / 2;
const RECALL_BYTES = 6;

/** What comes of the first frame: the worker's slot, or null when it is nobody's token. */
export type Identify = (token: Uint8Array) => number | null;

/** How a connection ended that should not have. */
export type ConnectionFault = 'unknown' | 'garbled' | 'stuck';

export interface ConnectionEvents {
  identified(slot: number): void;
  fault(fault: ConnectionFault, slot: number | null): void;
}

/** One worker's connection to the authority: who it is, then its asks, answered in as few frames as possible. */
export class LeaseConnection {
  readonly #socket: Socket;
  readonly #authority: LimitAuthority;
  readonly #identify: Identify;
  readonly #events: ConnectionEvents;
  readonly #reader = new FrameReader();
  #slot: number | null = null;
  #answers: SlotAnswer[] = [];
  #recalls: LeaseRecall[] = [];
  #recallBytes = 0;
  /** Of the last batch. */
  #sentMs = 0;
  /** A batch waits for its answer, if only for the stamp. */
  #isOwed = false;
  #isReading = false;
  #isScheduled = false;

  constructor(socket: Socket, authority: LimitAuthority, identify: Identify, events: ConnectionEvents) {
    this.#socket = socket;
    this.#authority = authority;
    this.#identify = identify;
    this.#events = events;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    // The worker connects again, or is dead, which the supervisor sees.
    socket.on('error', () => socket.destroy());
  }

  get slot(): number | null {
    return this.#slot;
  }

  /** Calls back tokens, after everything that was granted before. False: nobody is there, or too much waits already. */
  recall(key: string, recall: number): boolean {
    if (this.#socket.destroyed || this.#slot === null) return false;
    const bytes = RECALL_BYTES + Buffer.byteLength(key);
    if (this.#socket.writableLength + this.#recallBytes + bytes > MAX_RECALL_BYTES) return false;
    this.#recallBytes += bytes;
    this.#recalls.push({ key, recall });
    this.#transmitSoon();
    return true;
  }

  /** Nothing of it is heard from here on, not even what has arrived already. */
  destroy(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#isReading = true;
    const isFine = this.#reader.push(chunk, (frame) => {
      if (!this.#socket.destroyed) this.#take(frame);
    });
    this.#isReading = false;
    if (!isFine) return this.#fail('garbled');
    if (this.#isOwed || this.#answers.length + this.#recalls.length > 0) this.#transmit();
  }

  #take(frame: Uint8Array): void {
    const slot = this.#slot;
    if (slot === null) return this.#meet(frame);
    const batch = readBatch(frame);
    if (batch === null) return this.#fail('garbled');
    const authority = this.#authority;
    if (batch.isReset) authority.lost(slot);
    authority.heard(slot, batch.stamp);
    for (const { key, tokens, have, recall } of batch.returns) {
      authority.giveBack(slot, key, tokens, have);
      if (recall > 0) authority.recalled?.(slot, key, recall);
    }
    for (const ask of batch.asks) this.#ask(slot, ask);
    this.#isOwed = true;
    this.#sentMs = batch.sentMs;
  }

  #ask(slot: number, ask: SlotAsk): void {
    this.#authority.ask(slot, ask, (answer) => this.#answer({ slot: ask.slot, generation: ask.generation, ...answer }));
  }

  #meet(frame: Uint8Array): void {
    const slot = this.#identify(frame);
    if (slot === null) return this.#fail('unknown');
    this.#slot = slot;
    this.#events.identified(slot);
  }

  /** What the authority has ready leaves with the end of the read, what it answers later with that turn. */
  #answer(message: SlotAnswer): void {
    this.#answers.push(message);
    this.#transmitSoon();
  }

  #transmitSoon(): void {
    if (this.#isReading || this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      if (this.#answers.length + this.#recalls.length > 0) this.#transmit();
    });
  }

  #transmit(): void {
    const answers = this.#answers;
    const recalls = this.#recalls;
    this.#answers = [];
    this.#recalls = [];
    this.#recallBytes = 0;
    this.#isOwed = false;
    if (this.#socket.destroyed || this.#slot === null) return;
    const stamp = this.#authority.stampFor(this.#slot);
    let at = 0;
    do {
      const bytes = writeAnswers({ stamp, sentMs: this.#sentMs, answers: answers.slice(at, at + ANSWERS_PER_FRAME) }, HEADER_BYTES);
      bytes.writeUInt32LE(bytes.length - HEADER_BYTES, 0);
      this.#socket.write(bytes);
      at += ANSWERS_PER_FRAME;
    } while (at < answers.length);
    for (let from = 0; from < recalls.length; from += RECALLS_PER_FRAME) {
      this.#socket.write(framed(writeRecalls(recalls.slice(from, from + RECALLS_PER_FRAME), 0)));
    }
    if (this.#socket.writableLength > MAX_BACKLOG_BYTES) this.#fail('stuck');
  }

  #fail(fault: ConnectionFault): void {
    if (this.#socket.destroyed) return;
    this.#socket.destroy();
    this.#events.fault(fault, this.#slot);
  }
}
