import type { Envelope } from '../core/envelope.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InFlight, ReplySink, RequestOptions } from '../core/upstream.ts';
import type { Listening, SessionPlace, StreamSink, UpstreamSession } from '../core/upstream-session.ts';
import { LISTEN } from '../mcp/modern-methods.ts';
import { RemoteNotice, RemoteRequest, RemoteStream } from './remote-orders.ts';
import type { RemoteSessions } from './remote-sessions.ts';

/** A session that another worker holds, of this host or another: everything is asked of that one. Keeps nothing, so it cannot be out of date. */
export class RemoteSession implements UpstreamSession {
  /** It began elsewhere. */
  readonly agreement = null;
  readonly place: SessionPlace;
  readonly #sessions: RemoteSessions;
  readonly #where: () => number;
  readonly #server: string;

  /** `where`: the number of who holds it, as `sessions` knows it at that moment. */
  constructor(sessions: RemoteSessions, where: () => number, server: string, place: SessionPlace) {
    this.#sessions = sessions;
    this.#where = where;
    this.#server = server;
    this.place = place;
  }

  request(message: Envelope, { modern }: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const request = new RemoteRequest(sink);
    // A subscription lasts as long as its client stays.
    const longestMs = message.method === LISTEN ? Number.POSITIVE_INFINITY : this.#sessions.longestMs(this.#server);
    const order = { what: 'request', message, params: modern?.params ?? null, ...this.#address } as const;
    const refusal = this.#sessions.send(this.#where(), order, request, longestMs);
    return refusal ?? request;
  }

  notify(message: Envelope, _options: RequestOptions, taken?: () => void): Refusal | null {
    const notice = taken === undefined ? null : new RemoteNotice(taken);
    return this.#sessions.send(this.#where(), { what: 'notify', message, ...this.#address }, notice);
  }

  respond(message: Envelope): Refusal | null {
    return this.#sessions.send(this.#where(), { what: 'respond', message, ...this.#address }, null);
  }

  listen(lastEventId: string, _options: RequestOptions, sink: StreamSink): Listening | Refusal {
    const stream = new RemoteStream(sink);
    return (
      this.#sessions.send(this.#where(), { what: 'listen', from: lastEventId, ...this.#address }, stream, Number.POSITIVE_INFINITY) ??
      stream
    );
  }

  /** All workers are told, so the one that holds it is. */
  cancelled(): void {}

  close(closed?: () => void): void {
    const refusal = this.#sessions.send(this.#where(), { what: 'close', ...this.#address }, new RemoteNotice(closed ?? nothing));
    if (refusal !== null) closed?.();
  }

  get #address(): { readonly server: string; readonly place: Buffer } {
    return { server: this.#server, place: this.place.bytes };
  }
}

function nothing(): void {}
