import { createHash } from 'node:crypto';
import type { Envelope } from '../core/envelope.ts';
import { BAD_PARAMS } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { StateSeal } from '../core/state-seal.ts';
import type { InFlight, ReplySink, RequestOptions } from '../core/upstream.ts';
import { subjectOf } from '../mcp/modern-methods.ts';
import { broughtState, withBroughtState, withGivenState } from '../mcp/request-state.ts';
import type { ChildPlaces } from './child-places.ts';
import type { ModernSide } from './modern-side.ts';
import { PassingSink } from './passing-sink.ts';
import { PinnedCall } from './pinned-call.ts';

/** Of each hash. */
const HASH_BYTES = 16;
/** Between what is sealed and the server's own state. It is no character of base64url. */
const END_OF_SEAL = '.';

/** What a state that was given out says. */
interface GivenState {
  /** The server's own; null for none. */
  readonly own: string | null;
  /** Of the process that asked. */
  readonly place: Buffer;
}

/**
 * What a server asks for by one of its processes, and gets by the same as long as that is there (2026-07-28, Multi Round-Trip Requests). The `requestState` that a client
 * carries begins with a seal over hashes of whose it is, of method and name, and of the server's own state (16 bytes each), the server (its length in 1
 * byte, its name), and the place of the process; the server's own state follows as it was. So nobody brings a server a state but the one that it gave to this caller, for this
 * tool. Where the process is gone any other gets it: the revision wants a state that any instance of a server understands, and whoever keeps more has to say no.
 */
export class InputStates {
  readonly #server: Buffer;
  readonly #seal: StateSeal;
  readonly #places: ChildPlaces;
  readonly #modern: ModernSide;

  constructor(server: string, seal: StateSeal, places: ChildPlaces, modern: ModernSide) {
    this.#server = Buffer.from(server);
    this.#seal = seal;
    this.#places = places;
    this.#modern = modern;
  }

  /** A request that a server may answer with a question (`mayAsk`), or that brings what it asked for. */
  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const brought = broughtState(message);
    if (typeof brought === 'object' && brought !== null) return brought;
    const { method } = message;
    const call = `${method}\n${subjectOf(message)}`;
    const { principalKey } = options;
    const asking = new AskingSink(sink, options, (own, place) => this.#give(hashesOf(principalKey, call), { own, place }));
    if (brought === null) return this.#toAny(message, options, asking);
    const given = this.#take(hashesOf(principalKey, call), brought);
    const own = given === null ? null : withBroughtState(message, given.own);
    if (given === null || own === null) return BAD_PARAMS;
    asking.onPlace(given.place);
    return PinnedCall.begin(this.#places.find(given.place), own, options, asking, () => this.#toAny(own, options, asking));
  }

  #toAny(message: Envelope, options: RequestOptions, sink: AskingSink): InFlight | Refusal {
    const { modern = { params: null } } = options;
    const located = { ...options, modern: { ...modern, onPlace: (place: Buffer) => sink.onPlace(place) } };
    return this.#modern.request(message, this.#places.located(located), sink);
  }

  #give(origin: Buffer, { own, place }: GivenState): string {
    const sealed = this.#seal.seal(Buffer.concat([this.#prefix(origin, own), place]));
    return own === null ? sealed : sealed + END_OF_SEAL + own;
  }

  /** Null for what was not given to this caller, for this, here; nothing tells which it was. */
  #take(origin: Buffer, text: string): GivenState | null {
    const end = text.indexOf(END_OF_SEAL);
    const own = end < 0 ? null : text.slice(end + 1);
    const plain = this.#seal.open(end < 0 ? text : text.slice(0, end));
    const prefix = this.#prefix(origin, own);
    if (plain === null || !plain.subarray(0, prefix.length).equals(prefix)) return null;
    return { own, place: Buffer.from(plain.subarray(prefix.length)) };
  }

  #prefix(origin: Buffer, own: string | null): Buffer {
    const state = own === null ? Buffer.alloc(HASH_BYTES) : hash(own);
    return Buffer.concat([origin, state, Buffer.of(this.#server.length), this.#server]);
  }
}

/** Puts the gateway's state in place of the server's. */
class AskingSink extends PassingSink {
  readonly #onPlace: ((place: Buffer) => void) | undefined;
  readonly #give: (own: string | null, place: Buffer) => string;
  #place: Buffer | null = null;

  constructor(sink: ReplySink, { modern }: RequestOptions, give: (own: string | null, place: Buffer) => string) {
    super(sink);
    this.#onPlace = modern?.onPlace;
    this.#give = give;
  }

  /** Where the request was sent, before it is answered. */
  onPlace(place: Buffer): void {
    this.#place = place;
    this.#onPlace?.(place);
  }

  override onReply(bytes: Buffer, isError: boolean, code: number): void {
    const place = this.#place;
    this.sink.onReply(isError || place === null ? bytes : withGivenState(bytes, (own) => this.#give(own, place)), isError, code);
  }
}

function hashesOf(principalKey: string, call: string): Buffer {
  return Buffer.concat([hash(principalKey), hash(call)]);
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest().subarray(0, HASH_BYTES);
}
