import { createHash, randomBytes } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { RequestContext } from '../core/context.ts';
import type { Envelope } from '../core/envelope.ts';
import { SESSION_UNKNOWN, SESSION_VERSION } from '../core/errors.ts';
import type { SessionEnd } from '../core/events.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { SessionNews } from '../core/session-news.ts';
import type { Upstream } from '../core/upstream.ts';
import type { SessionPlace, UpstreamSession } from '../core/upstream-session.ts';
import { decodeSessionRecord, encodeSessionRecord } from '../mcp/session-record.ts';
import type { Parts } from './parts.ts';
import { Seal } from './seal.ts';
import { Session } from './session.ts';
import { SessionLedger } from './session-ledger.ts';

/** Whom a new session belongs to. */
export interface SessionOwner {
  readonly principalKey: string;
  readonly server: string;
}

/** Requests in sessions with one server, by where those began: in this worker, or in another, of this host or not. */
export interface SessionUses {
  readonly server: string;
  here: number;
  elsewhere: number;
}

export interface SessionBookOptions {
  /** Newest first. */
  readonly keys: readonly Uint8Array[];
  readonly clock: Clock;
  readonly idleTtlMs: number;
  readonly maxPerPrincipal: number;
  /** A session is over, however; told once in the whole gateway when it is known why. */
  onEnd(end: SessionEnd): void;
  /** A session is over, whoever ended it: what stands open for it in this worker goes too. */
  onGone(ref: string): void;
  /** There is something that the other workers should hear at once. */
  onNews(): void;
}

const SID_BYTES = 16;
const OWNER_BYTES = 16;
/** Sessions whose ids this worker need not open anew; what does not fit is opened again. */
const MAX_KNOWN = 16_384;

/**
 * The sessions of clients. What a session is stands in its id, under a seal: whoever holds the keys, any worker of any host,
 * goes on with it. What is kept here saves opening the seal with every request; which sessions are over, and which are idle, is
 * the ledger's to know.
 */
export class SessionBook {
  readonly ledger: SessionLedger;
  readonly #options: SessionBookOptions;
  readonly #seal: Seal;
  readonly #eventSeal: Seal;
  readonly #known = new Map<string, Session>();
  /** The same by name, and their ids. */
  readonly #byRef = new Map<string, { readonly id: string; readonly session: Session }>();
  readonly #uses = new Map<string, SessionUses>();

  constructor(options: SessionBookOptions) {
    this.#options = options;
    this.#seal = Seal.of(options.keys, 'session id');
    this.#eventSeal = Seal.of(options.keys, 'event id');
    this.ledger = new SessionLedger({
      ...options,
      onGone: (ref) => {
        this.#drop(ref);
        options.onGone(ref);
      },
    });
  }

  /** The id of a session that has just begun; visible ASCII (2025-11-25, Transports, Session Management). */
  mint(
    { principalKey, server }: SessionOwner,
    revision: string,
    place: SessionPlace,
    pipe: UpstreamSession,
  ): { id: string; session: Session } {
    const sid = randomBytes(SID_BYTES);
    const createdSecs = Math.floor(this.#options.clock.wallMs() / 1000);
    const id = this.#seal.seal(encodeSessionRecord({ sid, createdSecs, owner: ownerOf(principalKey), server, revision, place }));
    const fields = { ref: sid.toString('base64url'), principalKey, server, revision, createdMs: createdSecs * 1000, pipe, isOwn: true };
    const session = new Session(fields, this.#eventSeal);
    this.#keep(id, session);
    this.ledger.open(session);
    return { id, session };
  }

  /** The session of this caller and server with this id: nothing tells a foreign one from one that never was, or is over. */
  find(id: string, principalKey: string, upstream: Upstream): Session | Refusal {
    const session = this.#known.get(id) ?? this.#open(id, principalKey, upstream);
    if (session === null || session.principalKey !== principalKey || session.server !== upstream.name) return SESSION_UNKNOWN;
    if (this.ledger.use(session)) return this.#used(session);
    this.#drop(session.ref);
    return SESSION_UNKNOWN;
  }

  /** How often sessions of each server were used here. */
  uses(): readonly SessionUses[] {
    return [...this.#uses.values()];
  }

  /** Ends a session for good, upstream too; `closed` as with `UpstreamSession.close`. */
  end(session: Session, reason: SessionEnd['reason'], closed?: () => void): void {
    // First: the ledger closes what began here as well, and only the first call is told of the end.
    session.pipe.close(closed);
    this.ledger.end(session, reason);
  }

  /** The reply to a request came on another stream than its own: whoever waits for it, here or elsewhere, need not. */
  answered(session: Session, idToken: string): void {
    session.pipe.cancelled(idToken);
    this.ledger.cancelled(session.ref, idToken);
  }

  /** From another worker. */
  receive(news: SessionNews): void {
    this.ledger.receive(news);
    for (const { ref, idToken } of news.cancelled) this.#byRef.get(ref)?.session.pipe.cancelled(idToken);
  }

  #open(id: string, principalKey: string, upstream: Upstream): Session | null {
    const plain = this.#seal.open(id);
    const record = plain === null ? null : decodeSessionRecord(plain);
    if (record === null || record.server !== upstream.name || !record.owner.equals(ownerOf(principalKey))) return null;
    const pipe = upstream.resumeSession(record.place);
    if (pipe === null) return null;
    const { sid, server, revision, createdSecs } = record;
    const fields = { ref: sid.toString('base64url'), principalKey, server, revision, createdMs: createdSecs * 1000, pipe, isOwn: false };
    const session = new Session(fields, this.#eventSeal);
    this.#keep(id, session);
    return session;
  }

  #used(session: Session): Session {
    const { server, isOwn } = session;
    let uses = this.#uses.get(server);
    if (uses === undefined) {
      uses = { server, here: 0, elsewhere: 0 };
      this.#uses.set(server, uses);
    }
    uses[isOwn ? 'here' : 'elsewhere'] += 1;
    return session;
  }

  /** What is over takes no room. */
  #drop(ref: string): void {
    const known = this.#byRef.get(ref);
    if (known === undefined) return;
    this.#byRef.delete(ref);
    this.#known.delete(known.id);
  }

  #keep(id: string, session: Session): void {
    if (this.#byRef.size >= MAX_KNOWN) {
      const [oldest] = this.#byRef.keys();
      if (oldest !== undefined) this.#drop(oldest);
    }
    this.#known.set(id, session);
    this.#byRef.set(session.ref, { id, session });
  }
}

function ownerOf(principalKey: string): Buffer {
  return createHash('sha256').update(principalKey).digest().subarray(0, OWNER_BYTES);
}

/**
 * The session that a request names. Null where its id counts for nothing: an `initialize` begins another one. The version
 * header, when there is one, says what this session agreed on (2025-11-25, Transports, Protocol Version Header).
 */
export function sessionOf(parts: Parts, context: RequestContext, upstream: Upstream, message: Envelope | null): Session | Refusal | null {
  if (message?.method === 'initialize') return null;
  const { sessionId, protocolVersion } = context.exchange.head;
  const session = parts.sessions.find(sessionId, context.budgetKey, upstream);
  if (isRefusal(session)) return session;
  context.session = session.ref;
  return protocolVersion === '' || protocolVersion === session.revision ? session : SESSION_VERSION;
}
