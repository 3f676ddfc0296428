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
  /** By digest, the place of a key. */
  readonly #index = new Map<string, number>();
  readonly #principals: readonly Principal[];
  /** All in one piece: of ten thousand keys, a buffer for each would be several cache misses for each request. */
  readonly #digests: Uint32Array;
  /** The digest that is looked up, and the one that was found: new buffers for each request cost more than hashing. */
  readonly #presented: Buffer = Buffer.alloc(DIGEST_BYTES);
  readonly #found: Uint32Array = new Uint32Array(DIGEST_WORDS);

  /** Throws for a hash that is malformed or stored twice: start-up errors. */
  constructor(keys: readonly StoredKey[]) {
    this.#principals = keys.map(({ principal }) => principal);
    const all = Buffer.alloc(keys.length * DIGEST_BYTES);
    for (const [place, { keyHash, principal }] of keys.entries()) this.#add(place, keyHash, principal).copy(all, place * DIGEST_BYTES);
    this.#digests = new Uint32Array(all.buffer, all.byteOffset, keys.length * DIGEST_WORDS);
  }

  get size(): number {
    return this.#index.size;
  }

  /** Whom the token authenticates, expired or not; null for an unknown one. */
  find(token: string): Principal | null {
    const name = hash('sha256', token, 'binary');
    const place = this.#index.get(name);
    if (place === undefined) return null;
    this.#presented.write(name, 'latin1');
    for (let word = 0; word < DIGEST_WORDS; word++) this.#found[word] = this.#digests[place * DIGEST_WORDS + word] as number;
    return timingSafeEqual(this.#found, this.#presented) ? (this.#principals[place] as Principal) : null;
  }

  #add(place: number, keyHash: string, { id }: Principal): Buffer {
    const digest = decodeKeyHash(keyHash);
    if (digest === null) throw new Error(`the key hash of "${id}" is not a SHA-256 digest`);
    const name = digest.toString('latin1');
    const other = this.#index.get(name);
    if (other !== undefined) throw new Error(`"${this.#principals[other]?.id}" and "${id}" have the same key`);
    this.#index.set(name, place);
    return digest;
  }
}
