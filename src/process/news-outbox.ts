import type { SessionNews } from '../core/session-news.ts';

/** Of each kind that wait; what does not fit is not told. */
const MAX_WAITING = 65_536;
/** Names that are remembered as told. */
const MAX_TOLD = 262_144;
/** In one entry of the log. */
const BATCH_ITEMS = 100;
const BATCH_CANCELLED = 50;
/** A longer id of a request is not told: its call ends when its server or its deadline says so. */
const MAX_ID_CHARS = 128;

/**
 * What a host has to tell the others of sessions: an end once, the first use of a session within a stretch of time at once, and further ones
 * when it is over. Workers tell each other more often; between hosts every session in use would be named every few seconds.
 */
export class NewsOutbox {
  /** What could not be told because there was no room. */
  dropped = 0;
  #ended = new Map<string, number>();
  #touched = new Map<string, string>();
  #cancelled: SessionNews['cancelled'][number][] = [];
  /** Ends that all hosts know: told by this one or by another. */
  readonly #known = new Map<string, number>();
  /** Uses that were told in this stretch, and those that came after. */
  #told = new Set<string>();
  #later = new Map<string, string>();

  get isEmpty(): boolean {
    return this.#ended.size + this.#touched.size + this.#cancelled.length === 0;
  }

  add({ touched, ended, cancelled }: SessionNews): void {
    for (const { ref, untilMs } of ended) if (this.#isNew(ref, untilMs)) this.#put(this.#ended, ref, untilMs);
    for (const { ref, owner } of touched) {
      if (this.#told.has(ref)) this.#put(this.#later, ref, owner);
      else this.#tell(ref, owner);
    }
    for (const one of cancelled) {
      if (this.#cancelled.length < MAX_WAITING && one.idToken.length <= MAX_ID_CHARS) this.#cancelled.push(one);
      else this.dropped += 1;
    }
  }

  /** Another host has told of it. */
  knows({ ended }: SessionNews): void {
    for (const { ref, untilMs } of ended) this.#isNew(ref, untilMs);
  }

  /** A new stretch begins. `wallMs`: ends that need not be remembered any more are forgotten. */
  turn(wallMs: number): void {
    const later = this.#later;
    this.#later = new Map();
    this.#told = new Set();
    for (const [ref, owner] of later) this.#tell(ref, owner);
    for (const [ref, untilMs] of this.#known) if (untilMs < wallMs) this.#known.delete(ref);
  }

  /** Ends first. Null for nothing. */
  take(): SessionNews | null {
    if (this.isEmpty) return null;
    const ended = Array.from(taken(this.#ended), ([ref, untilMs]) => ({ ref, untilMs }));
    const touched = Array.from(taken(this.#touched), ([ref, owner]) => ({ ref, owner }));
    return { ended, touched, cancelled: this.#cancelled.splice(0, BATCH_CANCELLED) };
  }

  #tell(ref: string, owner: string): void {
    if (this.#told.size < MAX_TOLD) this.#told.add(ref);
    this.#put(this.#touched, ref, owner);
  }

  #isNew(ref: string, untilMs: number): boolean {
    if (this.#known.has(ref)) return false;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined && this.#known.size >= MAX_TOLD) this.#known.delete(oldest);
    this.#known.set(ref, untilMs);
    return true;
  }

  #put<T>(waiting: Map<string, T>, ref: string, value: T): void {
    if (waiting.size < MAX_WAITING || waiting.has(ref)) waiting.set(ref, value);
    else this.dropped += 1;
  }
}

/** The first of them, which are in it no more. */
function taken<T>(waiting: Map<string, T>): [string, T][] {
  const first: [string, T][] = [];
  for (const one of waiting) {
    if (first.length >= BATCH_ITEMS) break;
    first.push(one);
  }
  for (const [ref] of first) waiting.delete(ref);
  return first;
}
