import type { StreamMark, UpstreamSession } from '../core/upstream-session.ts';
import type { Seal } from './seal.ts';

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
  #events: Seal | null = null;

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

  /** A position as the client may see it: the upstream's id sealed, for this session only. */
  sealed(mark: StreamMark | undefined): StreamMark | undefined {
    if (mark === undefined || mark.eventId === '') return mark;
    return { eventId: this.#eventSeal().seal(Buffer.from(mark.eventId)), retryMs: mark.retryMs };
  }

  /** The upstream's id that a client's `Last-Event-ID` stands for; null when this session gave out no such id. */
  opened(lastEventId: string): string | null {
    return this.#eventSeal().open(lastEventId)?.toString() ?? null;
  }

  #eventSeal(): Seal {
    this.#events ??= this.#seal.for(this.ref);
    return this.#events;
  }
}
