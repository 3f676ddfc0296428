import { hash, timingSafeEqual } from 'node:crypto';
import type { Principal } from '../core/principal.ts';
import { decodeKeyHash, DIGEST_BYTES } from './keys.ts';

/** A stored key: its hash in any accepted form, and whom it authenticates. */
export interface StoredKey {
  readonly keyHash: string;
  readonly principal: Principal;
}

interface Entry {
  readonly digest: Buffer;
  readonly principal: Principal;
}

/**
 * Keys by digest. A lookup hashes the presented token once and costs the same whatever the number of keys. The index may
 * leak how far a digest matches, which tells nothing of a 256-bit preimage; the decision is a constant-time comparison.
 *
 * Any token is looked up, not only `mcp_…`: operators may hash keys of their own making, and hashing costs less than
 * telling shapes apart would save. Keys of low entropy are the operator's risk; `keygen` makes none.
 */
export class ApiKeyStore {
  readonly #index = new Map<string, Entry>();
  /** For the digest that is looked up: a new buffer for each costs more than hashing. */
  readonly #digest: Buffer = Buffer.alloc(DIGEST_BYTES);

  /** Throws for a hash that is malformed or stored twice: start-up errors. */
  constructor(keys: readonly StoredKey[]) {
    for (const { keyHash, principal } of keys) this.#add(keyHash, principal);
  }

  get size(): number {
    return this.#index.size;
  }

  /** Whom the token authenticates, expired or not; null for an unknown one. */
  find(token: string): Principal | null {
    const name = hash('sha256', token, 'binary');
    const entry = this.#index.get(name);
    if (entry === undefined) return null;
    this.#digest.write(name, 'latin1');
    return timingSafeEqual(entry.digest, this.#digest) ? entry.principal : null;
  }

  #add(keyHash: string, principal: Principal): void {
    const digest = decodeKeyHash(keyHash);
    if (digest === null) throw new Error(`the key hash of "${principal.id}" is not a SHA-256 digest`);
    const name = digest.toString('latin1');
    const other = this.#index.get(name);
    if (other !== undefined) throw new Error(`"${other.principal.id}" and "${principal.id}" have the same key`);
    this.#index.set(name, { digest, principal });
  }
}
