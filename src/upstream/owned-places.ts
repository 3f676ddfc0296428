import { randomBytes } from 'node:crypto';
import type { UpstreamSession } from '../core/upstream-session.ts';
import { LATEST_LEGACY_REVISION } from '../mcp/revisions.ts';
import type { SessionHolder } from './lent-sessions.ts';
import type { PeerDesk } from './peer-desk.ts';
import type { SessionDesk } from './session-desk.ts';

const SLOT_BYTES = 4;
const NAME_BYTES = 12;
const HOST_AT = SLOT_BYTES + NAME_BYTES;

export interface OwnedPlacesDeps {
  /** The ways to other workers and other hosts; null where there are none. */
  readonly sessions: SessionDesk | null;
  readonly peers: PeerDesk | null;
  /** Longest time that a request may take anywhere. */
  readonly longestMs: number;
}

/**
 * Places of what lives in one worker of one host, and is used from all: the worker (4 bytes, big endian), a random name there (12), the host's
 * address (empty where no other host reaches it). Sessions over channels have places of the same form.
 */
export class OwnedPlaces {
  readonly #server: string;
  readonly #deps: OwnedPlacesDeps;
  readonly #held: (place: Buffer) => UpstreamSession | null;

  /** `held`: what lives in this worker. `server`: in whose name others ask for it. */
  constructor(server: string, deps: OwnedPlacesDeps, held: (place: Buffer) => UpstreamSession | null) {
    this.#server = server;
    this.#deps = deps;
    this.#held = held;
    const holder: SessionHolder = {
      name: server,
      held,
      ofHost: (place) => (this.#hostOf(place) === this.#host ? this.#ofHost(place) : null),
      // What holds these ends them itself.
      unusedMs: () => -1,
      yieldOne: () => undefined,
    };
    deps.sessions?.register(holder, deps.longestMs);
    deps.peers?.register(holder, deps.longestMs);
  }

  mint(): Buffer {
    return this.named(randomBytes(NAME_BYTES));
  }

  /** Of what has a name of 12 bytes already, in this worker or another one of this host. */
  named(name: Buffer, worker: number = this.#slot): Buffer {
    const slot = Buffer.alloc(SLOT_BYTES);
    slot.writeUInt32BE(worker);
    return Buffer.concat([slot, name, Buffer.from(this.#host)]);
  }

  nameIn(place: Buffer): Buffer {
    return place.subarray(SLOT_BYTES, HOST_AT);
  }

  /** Of this worker, or of the one, perhaps at another host, that the place names. */
  find(place: Buffer): UpstreamSession | null {
    const host = this.#hostOf(place);
    if (host === this.#host) return this.#ofHost(place);
    if (host === null || host === '') return null;
    return this.#deps.peers?.reach(host, this.#server, { kind: 'owned', revision: LATEST_LEGACY_REVISION, bytes: place }) ?? null;
  }

  #ofHost(place: Buffer): UpstreamSession | null {
    const slot = place.readUInt32BE();
    if (slot === this.#slot) return this.#held(place);
    return this.#deps.sessions?.reach(slot, this.#server, { kind: 'owned', revision: LATEST_LEGACY_REVISION, bytes: place }) ?? null;
  }

  /** Null for what is no place. */
  #hostOf(place: Buffer): string | null {
    return place.length < HOST_AT ? null : place.toString('utf8', HOST_AT);
  }

  get #slot(): number {
    return this.#deps.sessions?.slot ?? 0;
  }

  get #host(): string {
    return this.#deps.peers?.address ?? '';
  }
}
