import { createHash } from 'node:crypto';
import type { Clock, Timer } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { BAD_PARAMS, SESSION_UNKNOWN, UPSTREAM_DOWN } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { StateSeal } from '../core/state-seal.ts';
import type { InFlight, ReplySink, RequestOptions } from '../core/upstream.ts';
import type { UpstreamSession } from '../core/upstream-session.ts';
import type { AskingCall } from './asking-call.ts';
import { PassingSink } from './passing-sink.ts';
import { OwnedPlaces, type OwnedPlacesDeps } from './owned-places.ts';
import { RequestOnlySession } from './request-only-session.ts';

/** Calls that wait for their clients at once, of all callers of this worker and of one. */
const MAX_PARKED = 256;
const MAX_PER_CALLER = 16;
/** So long a client may take to come back: it may have to ask a person. */
const PARKED_MS = 300_000;

const OWNER_BYTES = 16;

interface Parked {
  readonly call: AskingCall;
  readonly late: Timer;
}

export interface ParkedCallsDeps extends OwnedPlacesDeps {
  readonly server: string;
  readonly clock: Clock;
  readonly seal: StateSeal;
}

/**
 * Calls that wait in this worker for the answers of their clients. Where one waits stands in the `requestState` that its client got, under a seal: a hash of
 * whose it is (16 bytes), the server (its length in 1 byte, its name), and the place, whose name is that of this one question. A name is good once, and only here: nothing
 * is copied that could be played again elsewhere.
 */
export class ParkedCalls {
  readonly #deps: ParkedCallsDeps;
  readonly #places: OwnedPlaces;
  readonly #parked = new Map<string, Parked>();
  readonly #names = new Map<AskingCall, string>();

  constructor(deps: ParkedCallsDeps) {
    this.#deps = deps;
    this.#places = new OwnedPlaces(deps.server, deps, (place) => this.#held(place));
  }

  /** The state for its client; null when there is no room. */
  park(call: AskingCall): string | null {
    const own = [...this.#names.keys()].filter(({ caller }) => caller === call.caller).length;
    if (own >= MAX_PER_CALLER || this.#parked.size >= MAX_PARKED) return null;
    const place = this.#places.mint();
    const late = this.#deps.clock.after(PARKED_MS, () => {
      this.unpark(call);
      call.abandon('its client did not come back');
    });
    this.#parked.set(place.toString('hex'), { call, late });
    this.#names.set(call, place.toString('hex'));
    return this.#deps.seal.seal(Buffer.concat([this.#prefix(call.caller), place]));
  }

  unpark(call: AskingCall): void {
    const name = this.#names.get(call) ?? '';
    this.#names.delete(call);
    this.#parked.get(name)?.late.cancel();
    this.#parked.delete(name);
  }

  /** A client comes back. Which of the reasons it is that nothing waits for it is not told. */
  resume(state: string, message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const plain = this.#deps.seal.open(state);
    const prefix = this.#prefix(options.principalKey);
    if (plain === null || !plain.subarray(0, prefix.length).equals(prefix)) return BAD_PARAMS;
    const session = this.#places.find(Buffer.from(plain.subarray(prefix.length)));
    const flight = session?.request(message, options, new StateSink(sink)) ?? BAD_PARAMS;
    return isRefusal(flight) ? stateRefusal(flight) : flight;
  }

  close(): void {
    for (const call of this.#names.keys()) {
      this.unpark(call);
      call.abandon('closed');
    }
  }

  #held(place: Buffer): UpstreamSession | null {
    const parked = this.#parked.get(place.toString('hex'));
    return parked === undefined ? null : new ParkedSession(parked.call);
  }

  /** What comes before the place: whose, and at which server. */
  #prefix(caller: string): Buffer {
    const server = Buffer.from(this.#deps.server);
    const owner = createHash('sha256').update(caller).digest().subarray(0, OWNER_BYTES);
    return Buffer.concat([owner, Buffer.of(server.length), server]);
  }
}

/** A call that waits, as its client reaches it from any worker: nothing but the request that brings the answers. */
class ParkedSession extends RequestOnlySession {
  readonly #call: AskingCall;

  constructor(call: AskingCall) {
    super();
    this.#call = call;
  }

  request(message: Envelope, _options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    return this.#call.resume(message, sink);
  }
}

/** What another worker does not know is a state that is not good any more. */
class StateSink extends PassingSink {
  override onFail(refusal: Refusal, detail: string): void {
    this.sink.onFail(stateRefusal(refusal), detail);
  }

  override onCancelled(): void {
    this.sink.onFail(UPSTREAM_DOWN, 'its worker gave it up');
  }
}

function stateRefusal(refusal: Refusal): Refusal {
  return refusal === SESSION_UNKNOWN ? BAD_PARAMS : refusal;
}
