import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const OVERHEAD_BYTES = 1 + NONCE_BYTES + TAG_BYTES;
const MAX_TOKEN_CHARS = 4096;

interface SealKey {
  /** First byte of what is sealed: which key to try. Two keys may share it. */
  readonly hint: number;
  readonly key: Buffer;
}

/**
 * Seals bytes into text that only gateways with the same keys can read or make: AES-256-GCM with a random nonce, base64url, so
 * that it fits a header and an SSE id. One nonce in 2^96 a time, and keys derived per purpose (and per session for event ids)
 * keep every key far below the 2^32 messages that NIST SP 800-38D allows.
 */
export class Seal {
  readonly #keys: readonly SealKey[];

  private constructor(keys: readonly SealKey[]) {
    this.#keys = keys;
  }

  /** `secrets`: newest first, at least one; the first one seals, all of them open. */
  static of(secrets: readonly Uint8Array[], purpose: string): Seal {
    return new Seal(secrets.map((secret) => derived(secret, purpose)));
  }

  /** Another seal of the same keys: what one sealed the other cannot open. */
  for(purpose: string): Seal {
    return new Seal(this.#keys.map(({ key }) => derived(key, purpose)));
  }

  seal(plain: Uint8Array): string {
    const [first] = this.#keys;
    if (first === undefined) throw new Error('a seal without keys');
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', first.key, nonce);
    const sealed = Buffer.concat([Buffer.of(first.hint), nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    return sealed.toString('base64url');
  }

  /** Null for anything that no key of ours sealed. Each text has one spelling: others do not open. */
  open(token: string, maxChars: number = MAX_TOKEN_CHARS): Buffer | null {
    if (token.length > maxChars) return null;
    const sealed = Buffer.from(token, 'base64url');
    if (sealed.length < OVERHEAD_BYTES || sealed.toString('base64url') !== token) return null;
    for (const { hint, key } of this.#keys) {
      const plain = hint === sealed[0] ? opened(key, sealed) : null;
      if (plain !== null) return plain;
    }
    return null;
  }
}

function derived(secret: Uint8Array, purpose: string): SealKey {
  const key = Buffer.from(hkdfSync('sha256', secret, new Uint8Array(0), `mcp-guard ${purpose}`, 32));
  return { key, hint: createHash('sha256').update(key).digest()[0] as number };
}

function opened(key: Buffer, sealed: Buffer): Buffer | null {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 1 + NONCE_BYTES));
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const plain = decipher.update(sealed.subarray(1 + NONCE_BYTES, sealed.length - TAG_BYTES));
  try {
    return Buffer.concat([plain, decipher.final()]);
  } catch {
    return null;
  }
}
