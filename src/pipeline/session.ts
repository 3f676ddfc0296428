import type { StreamMark, UpstreamSession } from '../core/upstream-session.ts';
import type { Seal } from './seal.ts';

/** In what a position is: a stream of the server's, or that of a batch, which is the gateway's own. Neither opens the other. */
export type PositionKind = 'event' | 'batch';

/** Where a client goes on. */
export interface Position {
  readonly kind: PositionKind;
  readonly eventId: string;
}

export interface SessionFields {
  /** Its name among the workers and in audit records: says nothing to anybody who holds it. */
  readonly ref: string;
  /** Whose it is: anybody else is told that it does not exist. */
  readonly principalKey: string;
  readonly server: string;
  /** What was agreed with the client. */
  readonly revision: string;
  /** Wall clock. */
  readonly createdMs: number;
  readonly pipe: UpstreamSession;
  /** It began in this worker. */
  readonly isOwn: boolean;
}

/** A client's session, as the request path of this worker sees it. */
export class Session implements SessionFields {
  readonly ref: string;
  readonly principalKey: string;
  readonly server: string;
  readonly revision: string;
  readonly createdMs: number;
  readonly pipe: UpstreamSession;
  readonly isOwn: boolean;
  readonly #seal: Seal;
  readonly #seals = new Map<PositionKind, Seal>();

  /** `seal`: that of all event ids; each session has one of its own derived from it. */
  constructor(fields: SessionFields, seal: Seal) {
    this.ref = fields.ref;
    this.principalKey = fields.principalKey;
    this.server = fields.server;
    this.revision = fields.revision;
    this.createdMs = fields.createdMs;
    this.pipe = fields.pipe;
    this.isOwn = fields.isOwn;
    this.#seal = seal;
  }

  /** A position as the client may see it: its id sealed, for this session only. */
  sealed(mark: StreamMark | undefined, kind: PositionKind = 'event'): StreamMark | undefined {
    if (mark === undefined || mark.eventId === '') return mark;
    return { eventId: this.#sealOf(kind).seal(Buffer.from(mark.eventId)), retryMs: mark.retryMs };
  }

  /** What a client's `Last-Event-ID` stands for; null when this session gave out no such id. */
  opened(lastEventId: string): Position | null {
    return this.#openedAs('event', lastEventId) ?? this.#openedAs('batch', lastEventId);
  }

  #openedAs(kind: PositionKind, lastEventId: string): Position | null {
    const eventId = this.#sealOf(kind).open(lastEventId)?.toString();
    return eventId === undefined ? null : { kind, eventId };
  }

  #sealOf(kind: PositionKind): Seal {
    let seal = this.#seals.get(kind);
    if (seal === undefined) {
      seal = this.#seal.for(kind === 'event' ? this.ref : `batch ${this.ref}`);
      this.#seals.set(kind, seal);
    }
    return seal;
  }
}
