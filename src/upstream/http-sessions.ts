import type { Clock } from '../core/clock.ts';
import type { UpstreamSettings } from '../core/config.ts';
import { UPSTREAM_DOWN } from '../core/errors.ts';
import type { ClientHello, SessionPlace } from '../core/upstream-session.ts';
import type { ListKind, UpstreamInfo } from '../core/upstream.ts';
import { LEGACY_REVISIONS } from '../mcp/revisions.ts';
import type { DeadlinesOf } from './deadlines.ts';
import type { HttpClient } from './http-client.ts';
import { HttpOwnSession, type SessionHost } from './http-own-session.ts';
import { HttpPoster } from './http-poster.ts';
import { readSessionId } from './http-session.ts';
import { type PartingCounts, Partings } from './partings.ts';
import { PendingTable, type PendingEntry } from './pending.ts';
import { SessionCall, type SessionCallOptions } from './session-call.ts';

/** Notifications, answers and the DELETEs that clients wait for under way at once, of all sessions with one server. */
const MAX_POSTS = 1024;

export interface HttpSessionsOptions {
  readonly settings: UpstreamSettings;
  readonly clock: Clock;
  readonly client: HttpClient;
  readonly headers: readonly string[];
  readonly maxPending: number;
  readonly deadlinesOf: DeadlinesOf;
  readonly partings: PartingCounts;
  pathTo(restPath: string): string;
  isDown(): boolean;
  noise(kind: 'not_json' | 'unmatched'): void;
  listChanged(kind: ListKind): void;
  agreed(info: UpstreamInfo): void;
  failed(call: SessionCall, detail: string): void;
}

/** What the sessions of clients with one HTTP upstream share in this worker: the requests under way, and the way to the wire. */
export class HttpSessions implements SessionHost {
  readonly client: HttpClient;
  readonly poster: HttpPoster;
  readonly partings: Partings;
  readonly pending: PendingTable;
  readonly callOptions: SessionCallOptions;
  readonly headers: readonly string[];
  readonly timeoutMs: number;
  readonly #options: HttpSessionsOptions;
  #isClosed = false;

  constructor(options: HttpSessionsOptions) {
    const { clock, client, settings } = options;
    this.#options = options;
    this.client = client;
    this.headers = options.headers;
    this.timeoutMs = settings.timeoutMs;
    this.poster = new HttpPoster(client, clock, MAX_POSTS);
    this.partings = new Partings(client, clock, options.partings);
    this.callOptions = { clock, maxResponseBytes: settings.maxResponseBytes };
    this.pending = new PendingTable({
      clock,
      maxEntries: options.maxPending,
      deadlinesOf: options.deadlinesOf,
      onExpired: (entry, deadline) => this.#onExpired(entry, deadline),
    });
  }

  get isDown(): boolean {
    return this.#isClosed || this.#options.isDown();
  }

  open(hello: ClientHello): HttpOwnSession {
    return new HttpOwnSession(this, { hello });
  }

  resume(place: SessionPlace): HttpOwnSession | null {
    const isOurs = place.kind === 'http' && LEGACY_REVISIONS.includes(place.revision);
    return isOurs && typeof readSessionId(place.bytes.toString('latin1')) === 'string' ? new HttpOwnSession(this, { place }) : null;
  }

  close(): void {
    this.#isClosed = true;
    this.partings.close();
    this.pending.failAll(UPSTREAM_DOWN, 'closed');
  }

  pathTo(restPath: string): string {
    return this.#options.pathTo(restPath);
  }

  noise(kind: 'not_json' | 'unmatched'): void {
    this.#options.noise(kind);
  }

  listChanged(kind: ListKind): void {
    this.#options.listChanged(kind);
  }

  agreed(info: UpstreamInfo): void {
    this.#options.agreed(info);
  }

  failed(call: SessionCall, detail: string): void {
    this.#options.failed(call, detail);
  }

  #onExpired(entry: PendingEntry, deadline: 'idle' | 'hard'): void {
    if (entry.carrier instanceof SessionCall) entry.carrier.expire();
    entry.expired(deadline);
  }
}
