import { createHash, randomBytes } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { RequestContext } from '../core/context.ts';
import type { Envelope } from '../core/envelope.ts';
import { SESSION_UNKNOWN, SESSION_VERSION } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { Upstream } from '../core/upstream.ts';
import type { SessionPlace, UpstreamSession } from '../core/upstream-session.ts';
import { decodeSessionRecord, encodeSessionRecord } from '../mcp/session-record.ts';
import type { Parts } from './parts.ts';
import { Seal } from './seal.ts';

/** A client's session, as the request path sees it. */
export interface Session {
  /** Its name in audit records: says nothing to anybody who holds it. */
  readonly ref: string;
  /** Whose it is: anybody else is told that it does not exist. */
  readonly principalKey: string;
  readonly server: string;
  /** What was agreed with the client. */
  readonly revision: string;
  readonly pipe: UpstreamSession;
}

/** Whom a new session belongs to. */
export interface SessionOwner {
  readonly principalKey: string;
  readonly server: string;
}

const SID_BYTES = 16;
const OWNER_BYTES = 16;
/** Sessions whose ids this worker need not open anew; what does not fit is opened again. */
const MAX_KNOWN = 16_384;

/**
 * The sessions of clients. What a session is stands in its id, under a seal: whoever holds the keys, any worker of any host,
 * goes on with it. What is kept here saves opening the seal with every request.
 */
export class SessionBook {
  readonly #clock: Clock;
  readonly #seal: Seal;
  /** By id, oldest use last. */
  readonly #known = new Map<string, Session>();

  /** `keys`: newest first. */
  constructor(keys: readonly Uint8Array[], clock: Clock) {
    this.#clock = clock;
    this.#seal = Seal.of(keys, 'session id');
  }

  /** How many are kept. */
  get size(): number {
    return this.#known.size;
  }

  /** The id of a session that has just begun; visible ASCII (2025-11-25, Transports, Session Management). */
  mint({ principalKey, server }: SessionOwner, revision: string, place: SessionPlace, pipe: UpstreamSession): string {
    const sid = randomBytes(SID_BYTES);
    const createdSecs = Math.floor(this.#clock.wallMs() / 1000);
    const record = { sid, createdSecs, owner: ownerOf(principalKey), server, revision, place };
    const id = this.#seal.seal(encodeSessionRecord(record));
    this.#keep(id, { ref: sid.toString('base64url'), principalKey, server, revision, pipe });
    return id;
  }

  /** The session of this caller and server with this id: nothing tells a foreign one from one that never was. */
  find(id: string, principalKey: string, upstream: Upstream): Session | Refusal {
    const session = this.#known.get(id) ?? this.#open(id, principalKey, upstream);
    if (session === null || session.principalKey !== principalKey || session.server !== upstream.name) return SESSION_UNKNOWN;
    return session;
  }

  #open(id: string, principalKey: string, upstream: Upstream): Session | null {
    const plain = this.#seal.open(id);
    const record = plain === null ? null : decodeSessionRecord(plain);
    if (record === null || record.server !== upstream.name || !record.owner.equals(ownerOf(principalKey))) return null;
    const pipe = upstream.resumeSession(record.place);
    if (pipe === null) return null;
    const session = { ref: record.sid.toString('base64url'), principalKey, server: record.server, revision: record.revision, pipe };
    this.#keep(id, session);
    return session;
  }

  #keep(id: string, session: Session): void {
    if (this.#known.size >= MAX_KNOWN) {
      const [oldest] = this.#known.keys();
      if (oldest !== undefined) this.#known.delete(oldest);
    }
    this.#known.set(id, session);
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
