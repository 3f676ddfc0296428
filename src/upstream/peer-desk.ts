import type { Clock } from '../core/clock.ts';
import type { SessionEvent } from '../core/mesh-session.ts';
import type { PeerClient, PeerOrder, PeerPort } from '../core/peers.ts';
import type { SessionNews } from '../core/session-news.ts';
import type { SessionPlace, UpstreamSession } from '../core/upstream-session.ts';
import { LentSessions, type SessionHolder } from './lent-sessions.ts';
import { RemoteSession } from './remote-session.ts';
import { RemoteSessions } from './remote-sessions.ts';

/** Sessions that live in one host, and are used from all: those of this host that others need, and those of others. */
export class PeerDesk implements PeerClient {
  readonly remote: RemoteSessions;
  readonly lent: LentSessions;
  readonly #port: PeerPort;
  readonly #onNews: (news: SessionNews) => void;

  constructor(port: PeerPort, clock: Clock, onNews: (news: SessionNews) => void) {
    this.#port = port;
    this.#onNews = onNews;
    this.remote = new RemoteSessions(port, clock);
    this.lent = new LentSessions(port, 'ofHost');
  }

  /** How this host is named in the ids of sessions that begin here. */
  get address(): string {
    return this.#port.address;
  }

  /** All servers first, then `open`. */
  register(holder: SessionHolder, longestMs: number): void {
    this.lent.register(holder);
    this.remote.register(holder.name, longestMs);
  }

  open(): void {
    this.#port.attach(this);
  }

  /** A session that began at the host with this address. */
  reach(address: string, server: string, place: SessionPlace): UpstreamSession {
    return new RemoteSession(this.remote, () => this.#port.routeTo(address), server, place);
  }

  connected(route: number): void {
    this.remote.connected(route);
  }

  lost(route: number, loss: 'gone' | 'unreached'): void {
    this.remote.lost(route, loss);
  }

  fromOwner(route: number, event: SessionEvent): void {
    this.remote.onEvent(route, event);
  }

  fromCaller(caller: number, order: PeerOrder): void {
    this.lent.onOrder(caller, order);
  }

  callerLost(caller: number): void {
    this.lent.callerLost(caller);
  }

  news(news: SessionNews): void {
    this.#onNews(news);
  }
}
