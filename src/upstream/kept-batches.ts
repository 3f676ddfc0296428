import type { BatchOwner, BatchStream, BatchStreams } from '../core/batch-streams.ts';
import { EVENT_UNKNOWN, METHOD_UNKNOWN, SESSION_UNKNOWN } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { RequestOptions } from '../core/upstream.ts';
import type { Listening, StreamMark, StreamSink, UpstreamSession } from '../core/upstream-session.ts';
import type { EventMemory, EventStore } from './event-store.ts';
import { KeptStream } from './kept-stream.ts';
import { OwnedPlaces, type OwnedPlacesDeps } from './owned-places.ts';

/** A position in a batch: its place, and the number of the event there. */
const EVENT_ID = /^([\w-]{22,})\.(\d{1,15})$/;
const POSITION = /^\d{1,15}$/;
/** Where it is known already who asks, and for what. */
const DECIDED: RequestOptions = { restPath: '', principalKey: '' };

/** What the batches of one session have in common. */
interface Terms {
  /** Null when the session is over. */
  memory: EventMemory | null;
  readonly isPrimed: false;
  readonly batches: Set<KeptBatch>;
}

/**
 * The streams of batches, each kept as a whole by the worker that took the batch, whatever its messages are answered by: the sessions of servers over
 * HTTP live nowhere, and some messages are answered here. Each has a place as sessions have that live in one worker, so it is found from all.
 */
export class KeptBatches implements BatchStreams {
  readonly #store: EventStore | null;
  readonly #places: ReadonlyMap<string, OwnedPlaces>;
  /** By the place's bytes in hexadecimal. */
  readonly #held = new Map<string, KeptBatch>();
  /** By their names. */
  readonly #sessions = new Map<string, Terms>();

  /** `servers`: all that may have sessions. */
  constructor(servers: readonly string[], store: EventStore | null, ways: OwnedPlacesDeps) {
    this.#store = store;
    const held = (place: Buffer): KeptBatch | null => this.#held.get(place.toString('hex')) ?? null;
    this.#places = new Map(servers.map((server) => [server, new OwnedPlaces(server, ways, held)]));
  }

  begin({ ref, server, principalKey }: BatchOwner): BatchStream | null {
    const place = this.#places.get(server)?.mint();
    const terms = this.#sessions.get(ref) ?? this.#newTerms(principalKey);
    if (place === undefined || terms === null) return null;
    const name = place.toString('hex');
    const batch = new KeptBatch(place, terms, () => {
      this.#held.delete(name);
      terms.batches.delete(batch);
      if (terms.batches.size === 0) this.#sessions.delete(ref);
    });
    this.#sessions.set(ref, terms);
    terms.batches.add(batch);
    this.#held.set(name, batch);
    return batch;
  }

  listen(server: string, eventId: string, sink: StreamSink): Listening | Refusal {
    const [, place = '', position = ''] = EVENT_ID.exec(eventId) ?? [];
    const batch = place === '' ? null : (this.#places.get(server)?.find(Buffer.from(place, 'base64url')) ?? null);
    const listening = batch?.listen(position, DECIDED, sink) ?? EVENT_UNKNOWN;
    // Only that worker is gone, and what it kept.
    return isRefusal(listening) && listening === SESSION_UNKNOWN ? EVENT_UNKNOWN : listening;
  }

  endSession(ref: string): void {
    const terms = this.#sessions.get(ref);
    if (terms === undefined) return;
    terms.memory?.clear();
    terms.memory = null;
    for (const batch of terms.batches) batch.end();
  }

  #newTerms(principalKey: string): Terms | null {
    const memory = this.#store?.memoryFor(principalKey) ?? null;
    return memory === null ? null : { memory, isPrimed: false, batches: new Set() };
  }
}

/** One batch, as others find it: a session in which there is nothing but to listen. */
class KeptBatch implements BatchStream, UpstreamSession {
  readonly agreement = null;
  readonly place = null;
  onTakenUp: (() => void) | null = null;
  readonly #stream: KeptStream;
  readonly #onGone: () => void;

  constructor(place: Buffer, terms: Terms, onGone: () => void) {
    this.#stream = new KeptStream(place.toString('base64url'), terms, onGone);
    this.#onGone = onGone;
  }

  get isTakenUp(): boolean {
    return this.#stream.isTakenUp;
  }

  say(bytes: Buffer, isResponse: boolean): StreamMark | undefined {
    return this.#stream.say(bytes, isResponse);
  }

  over(): void {
    if (!this.#stream.isOver) this.#stream.over();
  }

  /** The session is over. */
  end(): void {
    this.#stream.end(null, 'the session is over');
    this.#onGone();
  }

  listen(position: string, _options: RequestOptions, sink: StreamSink): Listening | Refusal {
    if (!POSITION.test(position) || this.#stream.isLostAt(Number(position))) return EVENT_UNKNOWN;
    const listening = this.#stream.read(sink, Number(position));
    this.onTakenUp?.();
    return listening;
  }

  request(): Refusal {
    return METHOD_UNKNOWN;
  }

  notify(): Refusal {
    return METHOD_UNKNOWN;
  }

  respond(): Refusal {
    return METHOD_UNKNOWN;
  }

  cancelled(): void {}

  close(closed?: () => void): void {
    closed?.();
  }
}
