import type { Envelope } from '../core/envelope.ts';
import { METHOD_UNKNOWN, SESSION_UNKNOWN, UPSTREAM_DOWN } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InFlight, ReplySink, RequestOptions, UpstreamInfo } from '../core/upstream.ts';
import type { Listening, SessionAgreement, SessionPlace, StreamSink, UpstreamSession } from '../core/upstream-session.ts';
import { rpcResult } from '../mcp/messages.ts';
import type { HeldRequests } from './held-requests.ts';
import { LocalReply } from './local-reply.ts';

/** What a new session needs of its server. */
export interface UndecidedHost {
  info(): UpstreamInfo | null;
  /** Where requests wait until it is known whether the server takes a handshake. */
  readonly held: HeldRequests;
  /** The session with a server of which that is known by now; null: it keeps none. */
  choose(): UpstreamSession | null;
}

/**
 * A session with a server of which nobody knows yet whether it takes a handshake: its `initialize` waits for that. It never lives
 * longer than until its answer, as a session of that server's own kind.
 */
export class UndecidedSession implements UpstreamSession {
  readonly #host: UndecidedHost;
  #chosen: UpstreamSession | null = null;
  #shared: SessionAgreement | null = null;

  constructor(host: UndecidedHost) {
    this.#host = host;
  }

  get agreement(): SessionAgreement | null {
    return this.#chosen?.agreement ?? this.#shared;
  }

  get place(): SessionPlace | null {
    return this.#chosen?.place ?? null;
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    if (this.#chosen !== null) return this.#chosen.request(message, options, sink);
    if (message.method !== 'initialize' || this.#shared !== null) return METHOD_UNKNOWN;
    return this.#host.held.hold(message, options, sink, (...call) => this.#begin(...call));
  }

  notify(message: Envelope, options: RequestOptions, taken?: () => void): Refusal | null {
    return this.#chosen === null ? UPSTREAM_DOWN : this.#chosen.notify(message, options, taken);
  }

  respond(message: Envelope, options: RequestOptions): Refusal | null {
    return this.#chosen === null ? UPSTREAM_DOWN : this.#chosen.respond(message, options);
  }

  listen(lastEventId: string, options: RequestOptions, sink: StreamSink): Listening | Refusal {
    return this.#chosen?.listen(lastEventId, options, sink) ?? SESSION_UNKNOWN;
  }

  cancelled(idToken: string): void {
    this.#chosen?.cancelled(idToken);
  }

  close(closed?: () => void): void {
    if (this.#chosen === null) return closed?.();
    this.#chosen.close(closed);
  }

  /** Where all share what there is, the client is told what is known of the server, and gets no session. */
  #begin(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    this.#chosen = this.#host.choose();
    if (this.#chosen !== null) return this.#chosen.request(message, options, sink);
    const info = this.#host.info();
    if (info === null) return UPSTREAM_DOWN;
    this.#shared = { info, place: null };
    return new LocalReply(sink, rpcResult(message.bytes.toString('utf8', message.idStart, message.idEnd), '{}'));
  }
}
