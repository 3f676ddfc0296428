import type { Clock } from '../core/clock.ts';
import type { SessionEnd } from '../core/events.ts';
import type { SessionNews, SessionTouch } from '../core/session-news.ts';
import { callerName } from '../mcp/session-record.ts';
import type { Session } from './session.ts';

export interface SessionLedgerOptions {
  readonly clock: Clock;
  readonly idleTtlMs: number;
  readonly maxPerPrincipal: number;
  onEnd(end: SessionEnd): void;
  onGone(ref: string): void;
  onNews(): void;
}

/** Sessions that a worker remembers the last use of; the one used longest ago goes first. */
const MAX_ENTRIES = 262_144;
/** Ended sessions that are remembered; a forgotten one is told 404 by its server. */
const MAX_ENDED = 65_536;
/** In one message to the other workers. */
const MAX_TOUCHES = 10_000;
/** News on the way when a session ends arrive within this time. */
const SETTLED_MS = 60_000;
/** Uses within this part of the idle time count as one. */
const GRAIN = 8;

interface Entry {
  readonly ref: string;
  readonly owner: string;
  lastMs: number;
  /** The others know nothing of its last use. */
  isNews: boolean;
  /** Begun in this worker, which then ends it upstream; null otherwise. */
  session: Session | null;
}

/**
 * What does not stand in a session's id: when it was last used, and whether it is over. Every worker keeps its own ledger, and
 * tells the others in the background: an end at once, uses within an eighth of the idle time. A session that a worker has not heard
 * of is served while it is younger than the idle time, and unknown when it is older; so nothing that ended comes back, and
 * hosts that take turns need nothing in common but the key.
 */
export class SessionLedger {
  readonly #options: SessionLedgerOptions;
  readonly #grainMs: number;
  /** By ref, longest unused first. */
  readonly #entries = new Map<string, Entry>();
  /** Of each owner, in the same order. */
  readonly #owners = new Map<string, Map<string, Entry>>();
  /** When the end of each may be forgotten, wall clock. */
  readonly #ended = new Map<string, number>();
  #newlyEnded: { ref: string; untilMs: number }[] = [];
  #cancelled: { ref: string; idToken: string }[] = [];
  /** Entries that are news; may name some that are gone. */
  #touched: Entry[] = [];
  #ownCount = 0;

  constructor(options: SessionLedgerOptions) {
    this.#options = options;
    this.#grainMs = Math.min(options.idleTtlMs / GRAIN, 10_000);
  }

  /** Sessions that began in this worker and go on. */
  get ownCount(): number {
    return this.#ownCount;
  }

  /** Sessions that this worker knows of. */
  get size(): number {
    return this.#entries.size;
  }

  get endedSize(): number {
    return this.#ended.size;
  }

  /** A session begins here; its owner's longest unused one ends when there are too many. */
  open(session: Session): void {
    const entry = this.#add(session.ref, callerName(session.principalKey), session);
    const others = this.#owners.get(entry.owner);
    while (others !== undefined && others.size > this.#options.maxPerPrincipal) {
      const [oldest] = others.values();
      if (oldest === undefined || oldest === entry) return;
      this.#over(oldest, 'evicted', session.principalKey, session.server);
    }
  }

  /** Whether the session goes on; when it does, it was used now. */
  use(session: Session): boolean {
    const { clock, idleTtlMs } = this.#options;
    if (this.#ended.has(session.ref)) return false;
    const entry = this.#entries.get(session.ref);
    const nowMs = clock.nowMs();
    if (entry === undefined) {
      if (clock.wallMs() - session.createdMs > idleTtlMs) return false;
      this.#add(session.ref, callerName(session.principalKey), null);
      return true;
    }
    if (nowMs - entry.lastMs > idleTtlMs) return this.#expire(entry);
    if (nowMs - entry.lastMs > this.#grainMs) this.#touch(entry, nowMs, true);
    return true;
  }

  /** It ends for good: told to all workers. */
  end(session: Session, reason: SessionEnd['reason']): void {
    const { ref, server, principalKey } = session;
    const entry = this.#entries.get(ref);
    if (entry !== undefined) return this.#over(entry, reason, principalKey, server, session.createdMs);
    if (this.#ended.has(ref)) return;
    this.#announce(ref, session.createdMs);
    this.#options.onEnd({ ref, server, principalKey, reason });
    this.#options.onGone(ref);
  }

  /** A client took a request back, or fetched its reply, that another worker may have under way. */
  cancelled(ref: string, idToken: string): void {
    if (this.#cancelled.length < MAX_TOUCHES) this.#cancelled.push({ ref, idToken });
    this.#options.onNews();
  }

  /** Idle sessions end, and what need not be remembered is forgotten; about once a second. */
  sweep(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const entry of this.#entries.values()) {
      if (nowMs - entry.lastMs <= this.#options.idleTtlMs) break;
      this.#expire(entry);
    }
    const wallMs = this.#options.clock.wallMs();
    for (const [ref, untilMs] of this.#ended) if (untilMs < wallMs) this.#ended.delete(ref);
  }

  /** A worker has begun that knows nothing yet: everything is news. */
  shareAll(): void {
    this.#touched = [...this.#entries.values()];
    for (const entry of this.#touched) entry.isNews = true;
    this.#newlyEnded = Array.from(this.#ended, ([ref, untilMs]) => ({ ref, untilMs }));
  }

  /** What the other workers have to hear; null for nothing. */
  takeNews(): SessionNews | null {
    const [ended, cancelled] = [this.#newlyEnded, this.#cancelled];
    const batch = this.#touched.splice(0, MAX_TOUCHES);
    const touched: SessionTouch[] = [];
    for (const entry of batch) {
      if (entry.isNews && this.#entries.get(entry.ref) === entry) touched.push({ ref: entry.ref, owner: entry.owner });
      entry.isNews = false;
    }
    this.#newlyEnded = [];
    this.#cancelled = [];
    return touched.length + ended.length + cancelled.length === 0 ? null : { touched, ended, cancelled };
  }

  receive({ touched, ended }: SessionNews): void {
    const nowMs = this.#options.clock.nowMs();
    for (const { ref, owner, agoMs = 0 } of touched) {
      if (this.#ended.has(ref) || agoMs > this.#options.idleTtlMs) continue;
      const entry = this.#entries.get(ref) ?? this.#heardOf(ref, owner, nowMs - agoMs);
      if (nowMs - agoMs > entry.lastMs) this.#touch(entry, nowMs - agoMs, false);
    }
    for (const { ref, untilMs } of ended) {
      this.#remember(ref, untilMs);
      const entry = this.#entries.get(ref);
      if (entry === undefined) continue;
      entry.session?.pipe.close();
      this.#remove(entry);
      this.#options.onGone(ref);
    }
  }

  #add(ref: string, owner: string, session: Session | null): Entry {
    const entry: Entry = { ref, owner, lastMs: this.#options.clock.nowMs(), isNews: true, session };
    if (this.#entries.size >= MAX_ENTRIES) {
      const [oldest] = this.#entries.values();
      if (oldest !== undefined) this.#expire(oldest);
    }
    if (session !== null) this.#ownCount += 1;
    this.#entries.set(ref, entry);
    this.#touched.push(entry);
    let own = this.#owners.get(owner);
    if (own === undefined) {
      own = new Map();
      this.#owners.set(owner, own);
    }
    own.set(ref, entry);
    return entry;
  }

  #heardOf(ref: string, owner: string, lastMs: number): Entry {
    const entry = this.#add(ref, owner, null);
    entry.isNews = false;
    entry.lastMs = lastMs;
    return entry;
  }

  #touch(entry: Entry, nowMs: number, isNews: boolean): void {
    entry.lastMs = nowMs;
    if (isNews && !entry.isNews) this.#touched.push(entry);
    entry.isNews ||= isNews;
    this.#entries.delete(entry.ref);
    this.#entries.set(entry.ref, entry);
    const own = this.#owners.get(entry.owner);
    own?.delete(entry.ref);
    own?.set(entry.ref, entry);
  }

  #remove(entry: Entry): void {
    if (!this.#entries.delete(entry.ref)) return;
    if (entry.session !== null) this.#ownCount -= 1;
    const own = this.#owners.get(entry.owner);
    own?.delete(entry.ref);
    if (own?.size === 0) this.#owners.delete(entry.owner);
  }

  /** Every worker finds out for itself; the one where it began ends it upstream and tells of it. */
  #expire(entry: Entry): false {
    this.#remove(entry);
    const { session } = entry;
    if (session !== null) {
      session.pipe.close();
      this.#options.onEnd({ ref: entry.ref, server: session.server, principalKey: session.principalKey, reason: 'expired' });
    }
    this.#options.onGone(entry.ref);
    return false;
  }

  /** Decided here, for all workers. The one where it began ends it upstream. */
  #over(entry: Entry, reason: SessionEnd['reason'], principalKey: string, server: string, createdMs?: number): void {
    this.#remove(entry);
    this.#announce(entry.ref, createdMs ?? entry.session?.createdMs ?? this.#options.clock.wallMs());
    entry.session?.pipe.close();
    this.#options.onEnd({ ref: entry.ref, server: entry.session?.server ?? server, principalKey, reason });
    this.#options.onGone(entry.ref);
  }

  /** Remembered until its age alone says that it is over, and until what other workers said of it has arrived. */
  #announce(ref: string, createdMs: number): void {
    const { clock, idleTtlMs } = this.#options;
    const untilMs = Math.max(createdMs + idleTtlMs, clock.wallMs() + SETTLED_MS);
    this.#remember(ref, untilMs);
    if (this.#newlyEnded.length < MAX_ENDED) this.#newlyEnded.push({ ref, untilMs });
    this.#options.onNews();
  }

  #remember(ref: string, untilMs: number): void {
    if (this.#ended.size >= MAX_ENDED) {
      const [oldest] = this.#ended.keys();
      if (oldest !== undefined) this.#ended.delete(oldest);
    }
    this.#ended.set(ref, untilMs);
  }
}
