import type { CallerPort, OwnerPort } from './mesh.ts';
import type { SessionAsk, SessionEvent, SessionFlow } from './mesh-session.ts';
import type { SessionNews } from './session-news.ts';

/** What one host asks another for: nothing but what concerns a session that lives there. */
export type PeerOrder = SessionAsk | SessionFlow;

/** Receives what comes from other hosts. Numbers are never used twice; those of routes and those of callers have nothing to do with each other. */
export interface PeerClient {
  /** There is a way to a host, or will be in a moment: what is sent until then waits for it. */
  connected(route: number): void;
  /** What was on its way there will not be answered. `unreached`: nothing was sent. */
  lost(route: number, loss: 'gone' | 'unreached'): void;
  fromOwner(route: number, event: SessionEvent): void;
  fromCaller(caller: number, order: PeerOrder): void;
  callerLost(caller: number): void;
  /** What a host that uses sessions of this one knows of them. */
  news(news: SessionNews): void;
}

/** What operators should hear of other hosts. `unreachable` and `refused` come once for each attempt. */
export type PeerIncident = 'connected' | 'lost' | 'unreachable' | 'refused';

/** Counted since the start of the worker, but for connections. */
export interface PeerFigures {
  /** Connections to other hosts, and of other hosts. */
  readonly out: number;
  readonly in: number;
  /** Orders that were sent, or refused because the host is out of reach or does not keep up. */
  readonly sent: number;
  readonly unreachable: number;
  readonly busy: number;
  /** Connections that did not prove to be of another host, or broke the rules. */
  readonly refused: number;
}

/** The way to the other hosts, each known by the address that it advertises; connections are made when they are needed. */
export interface PeerPort extends OwnerPort, CallerPort {
  /** This host's own. */
  readonly address: string;
  readonly figures: PeerFigures;
  /** Once, before anything else. */
  attach(client: PeerClient): void;
  /** The number of the way to a host, −1 when it was out of reach a moment ago. `address` comes from a sealed id, never from a client. */
  routeTo(address: string): number;
  /** Tells all hosts that there is a way to. */
  tell(news: SessionNews): void;
}
