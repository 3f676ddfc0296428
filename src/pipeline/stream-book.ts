import { randomBytes } from 'node:crypto';
import type { Conversation } from './conversation.ts';

/** An event stream of revision 2024-11-05 that a client holds open. */
export interface StandingStream {
  readonly conversation: Conversation;
  /** Whose it is: nobody else's POSTs reach it, and nobody else learns that it exists. */
  readonly principalKey: string;
}

const RANDOM_BYTES = 16;
/** Of one caller in one worker. */
const MAX_PER_PRINCIPAL = 100;

/** The standing streams of this worker, by the ids that their POSTs carry: the number of the worker, and what nobody can guess. */
export class StreamBook {
  readonly #slot: number;
  readonly #streams = new Map<string, StandingStream>();
  readonly #counts = new Map<string, number>();

  constructor(slot: number) {
    this.#slot = slot;
  }

  get size(): number {
    return this.#streams.size;
  }

  newId(): string {
    return `${this.#slot}.${randomBytes(RANDOM_BYTES).toString('base64url')}`;
  }

  /** False when this caller has too many. */
  add(id: string, stream: StandingStream): boolean {
    const count = this.#counts.get(stream.principalKey) ?? 0;
    if (count >= MAX_PER_PRINCIPAL) return false;
    this.#counts.set(stream.principalKey, count + 1);
    this.#streams.set(id, stream);
    return true;
  }

  remove(id: string): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#streams.delete(id);
    const count = (this.#counts.get(stream.principalKey) ?? 1) - 1;
    if (count === 0) this.#counts.delete(stream.principalKey);
    else this.#counts.set(stream.principalKey, count);
  }

  /** The caller's stream of this id. */
  find(id: string, principalKey: string): StandingStream | null {
    const stream = this.#streams.get(id);
    return stream?.principalKey === principalKey ? stream : null;
  }

  /** Another worker that this id names; null for our own and for what is no id. */
  ownerOf(id: string): number | null {
    const slot = /^(\d{1,3})\.[\w-]{22}$/.exec(id)?.[1];
    return slot === undefined || Number(slot) === this.#slot ? null : Number(slot);
  }

  /** The gateway stops: each ends when nothing of it is in progress. */
  leave(): void {
    for (const { conversation } of this.#streams.values()) conversation.leave();
  }
}
