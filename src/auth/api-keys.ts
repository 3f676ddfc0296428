import { hash, timingSafeEqual } from 'node:crypto';
import type { Principal } from '../core/principal.ts';
import { decodeKeyHash, DIGEST_BYTES } from './keys.ts';

/** A stored key: its hash in any accepted form, and whom it authenticates. */
export interface StoredKey {
  readonly keyHash: string;
  readonly principal: Principal;
}

const DIGEST_WORDS = DIGEST_BYTES / Uint32Array.BYTES_PER_ELEMENT;

/**
 * Keys by digest. A lookup hashes the presented token once and costs the same whatever the number of keys. The index may
 * leak how far a digest matches, which tells nothing of a 256-bit preimage; the decision is a constant-time comparison.
 *
 * Any token is looked up, not only `mcp_…`: operators may hash keys of their own making, and hashing costs less than
 * telling shapes apart would save. Keys of low entropy are the operator's risk; `keygen` makes none.
 */
export class ApiKeyStore {
  readonly #principals: readonly Principal[];
  /** All in one piece: of ten thousand keys, a buffer for each would be several cache misses for each request. */
  readonly #digests: Uint32Array;
  /** Where a digest stands, plus one, by its first word, or behind that; 0: nowhere. A power of two, at most half full, so a search is short. */
  readonly #places: Int32Array;
  /** The digest that is looked up, and the one that was found: new buffers for each request cost more than hashing. */
  readonly #presented: Uint32Array = new Uint32Array(DIGEST_WORDS);
  readonly #presentedBytes: Buffer = Buffer.from(this.#presented.buffer);
  readonly #found: Uint32Array = new Uint32Array(DIGEST_WORDS);

  /** Throws for a hash that is malformed or stored twice: start-up errors. */
  constructor(keys: readonly StoredKey[]) {
    this.#principals = keys.map(({ principal }) => principal);
    this.#digests = new Uint32Array(keys.length * DIGEST_WORDS);
    this.#places = new Int32Array(2 ** Math.ceil(Math.log2(2 * keys.length + 1)));
    for (const [place, { keyHash, principal }] of keys.entries()) this.#add(place, keyHash, principal);
  }

  get size(): number {
    return this.#principals.length;
  }

  /** Whom the token authenticates, expired or not; null for an unknown one. */
  find(token: string): Principal | null {
    this.#presentedBytes.write(hash('sha256', token, 'binary'), 'latin1');
    const place = this.#placeOf(this.#presented);
    return place < 0 ? null : (this.#principals[place] as Principal);
  }

  /** −1: it is none of them. A digest whose first word is another's is compared no further. */
  #placeOf(digest: Uint32Array): number {
    const places = this.#places;
    const last = places.length - 1;
    const first = digest[0] as number;
    for (let at = first & last; places[at] !== 0; at = (at + 1) & last) {
      const place = (places[at] as number) - 1;
      if (this.#digests[place * DIGEST_WORDS] !== first) continue;
      for (let word = 0; word < DIGEST_WORDS; word++) this.#found[word] = this.#digests[place * DIGEST_WORDS + word] as number;
      if (timingSafeEqual(this.#found, digest)) return place;
    }
    return -1;
  }

  #add(place: number, keyHash: string, { id }: Principal): void {
    const bytes = decodeKeyHash(keyHash);
    if (bytes === null) throw new Error(`the key hash of "${id}" is not a SHA-256 digest`);
    const digest = new Uint32Array(new Uint8Array(bytes).buffer);
    const other = this.#placeOf(digest);
    if (other >= 0) throw new Error(`"${this.#principals[other]?.id}" and "${id}" have the same key`);
    this.#digests.set(digest, place * DIGEST_WORDS);
    const last = this.#places.length - 1;
    let at = (digest[0] as number) & last;
    while (this.#places[at] !== 0) at = (at + 1) & last;
    this.#places[at] = place + 1;
  }
}
