import type { SessionEventSettings } from '../core/config.ts';

/** One message of a stream. */
export interface KeptEvent {
  /** In its stream, from 1. */
  readonly number: number;
  readonly bytes: Buffer;
  readonly isResponse: boolean;
  readonly line: EventLine;
}

/** What is kept of one stream, in order. */
export interface EventLine {
  readonly events: KeptEvent[];
  /** The last event was dropped for want of room. */
  emptied(): void;
}

/** What is kept in this worker. */
export interface EventFigures {
  readonly messages: number;
  readonly bytes: number;
  /** Since the start: no client can have them any more. */
  readonly dropped: number;
}

/** An event costs about as much beside its bytes. */
const OVERHEAD_BYTES = 256;

function costOf({ bytes }: KeptEvent): number {
  return bytes.length + OVERHEAD_BYTES;
}

/**
 * The messages of sessions whose servers keep none themselves, for clients that come back for the rest of a stream (2025-11-25, Transports,
 * Resumability and Redelivery). What does not fit is dropped, the oldest first: of its own session, and when all together are
 * too large, of the caller who holds most. So nobody can push out what little another one has.
 */
export class EventStore {
  readonly settings: SessionEventSettings;
  /** Those that hold something. */
  readonly #memories = new Set<EventMemory>();
  #messages = 0;
  #bytes = 0;
  #dropped = 0;

  constructor(settings: SessionEventSettings) {
    this.settings = settings;
  }

  get figures(): EventFigures {
    return { messages: this.#messages, bytes: this.#bytes, dropped: this.#dropped };
  }

  /** Null: nothing is kept here. */
  memoryFor(principalKey: string): EventMemory | null {
    return this.settings.maxMessages === 0 ? null : new EventMemory(this, principalKey);
  }

  /** A memory holds one more. */
  added(memory: EventMemory, bytes: number): void {
    this.#memories.add(memory);
    this.#messages += 1;
    this.#bytes += bytes;
    while (this.#bytes > this.settings.maxTotalBytes) this.#largest().dropOldest();
  }

  removed(memory: EventMemory, bytes: number): void {
    this.#messages -= 1;
    this.#bytes -= bytes;
    if (memory.bytes === 0) this.#memories.delete(memory);
  }

  dropped(): void {
    this.#dropped += 1;
  }

  /** The largest memory of the caller who holds most. */
  #largest(): EventMemory {
    const held = new Map<string, number>();
    for (const { principalKey, bytes } of this.#memories) held.set(principalKey, (held.get(principalKey) ?? 0) + bytes);
    const rank = ({ principalKey }: EventMemory): number => held.get(principalKey) ?? 0;
    return [...this.#memories].reduce((most, one) => {
      const byOwner = rank(one) - rank(most);
      return byOwner > 0 || (byOwner === 0 && one.bytes > most.bytes) ? one : most;
    });
  }
}

/** What is kept of the streams of one session. */
export class EventMemory {
  readonly principalKey: string;
  bytes = 0;
  readonly #store: EventStore;
  /** Oldest first. */
  readonly #order = new Set<KeptEvent>();

  constructor(store: EventStore, principalKey: string) {
    this.#store = store;
    this.principalKey = principalKey;
  }

  /** Keeps the event as the last of its line, unless it is larger than everything that may be kept. Owns its bytes from now on. */
  keep(event: KeptEvent): void {
    const { maxMessages, maxBytes, maxTotalBytes } = this.#store.settings;
    const cost = costOf(event);
    if (cost > Math.min(maxBytes, maxTotalBytes)) return this.#store.dropped();
    while (this.#order.size >= maxMessages || this.bytes + cost > maxBytes) this.dropOldest();
    this.#order.add(event);
    event.line.events.push(event);
    this.bytes += cost;
    this.#store.added(this, cost);
  }

  dropOldest(): void {
    const [oldest] = this.#order;
    if (oldest === undefined) return;
    this.#remove(oldest);
    oldest.line.events.shift();
    this.#store.dropped();
    if (oldest.line.events.length === 0) oldest.line.emptied();
  }

  /** Nobody will ask for this stream any more. */
  forget(line: EventLine): void {
    for (const event of line.events.splice(0)) this.#remove(event);
  }

  /** The session is over. */
  clear(): void {
    for (const event of this.#order) this.#remove(event);
  }

  #remove(event: KeptEvent): void {
    if (!this.#order.delete(event)) return;
    this.bytes -= costOf(event);
    this.#store.removed(this, costOf(event));
  }
}
