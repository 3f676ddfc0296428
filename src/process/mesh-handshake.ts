import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** Bytes of the secret that the workers of one gateway share, and of all that is made of it. */
export const SECRET_BYTES: number = 32;
const SLOT_BYTES = 2;
const GREETING_BYTES = SLOT_BYTES + 2 * SECRET_BYTES;

/**
 * How two workers prove to each other that they belong to one gateway, without either sending the secret: the owner's
 * challenge, the caller's greeting (slot, challenge, proof), the owner's proof. A process of the same user, a stdio child
 * among them, can reach the socket, and could put its own in that place.
 */
function proof(secret: Uint8Array, role: 'caller' | 'owner', slots: readonly [number, number], challenges: readonly Uint8Array[]): Buffer {
  const hmac = createHmac('sha256', secret).update(`mcp-guard mesh 1 ${role} ${slots.join(' ')}\n`);
  for (const challenge of challenges) hmac.update(challenge);
  return hmac.digest();
}

/** What a side sends first, to be answered by a proof. */
export function newChallenge(): Uint8Array {
  return randomBytes(SECRET_BYTES);
}

/** The owner's end: reads the caller's greeting. */
export class OwnerHandshake {
  readonly challenge: Uint8Array = newChallenge();
  readonly #secret: Uint8Array;
  readonly #slot: number;

  /** @param slot the owner's own */
  constructor(secret: Uint8Array, slot: number) {
    this.#secret = secret;
    this.#slot = slot;
  }

  /** Who it is, and the proof to answer with; null when it is nobody of ours. */
  meet(greeting: Uint8Array): { readonly slot: number; readonly proof: Uint8Array } | null {
    if (greeting.length !== GREETING_BYTES) return null;
    const caller = new DataView(greeting.buffer, greeting.byteOffset, greeting.length).getUint16(0, true);
    const challenge = greeting.subarray(SLOT_BYTES, SLOT_BYTES + SECRET_BYTES);
    const slots = [caller, this.#slot] as const;
    const expected = proof(this.#secret, 'caller', slots, [this.challenge, challenge]);
    if (!timingSafeEqual(expected, greeting.subarray(SLOT_BYTES + SECRET_BYTES))) return null;
    return { slot: caller, proof: proof(this.#secret, 'owner', slots, [challenge, this.challenge]) };
  }
}

/** The caller's end: answers the owner's challenge with a greeting, and checks the proof that comes back. */
export class CallerHandshake {
  readonly #secret: Uint8Array;
  readonly #slots: readonly [number, number];
  readonly #challenge = newChallenge();
  #theirs: Uint8Array | null = null;

  constructor(secret: Uint8Array, slot: number, owner: number) {
    this.#secret = secret;
    this.#slots = [slot, owner];
  }

  /** The answer to a frame: a greeting to send, `done` when the owner has proved itself, or null when it cannot be ours. */
  take(frame: Uint8Array): Uint8Array | 'done' | null {
    if (frame.length !== SECRET_BYTES) return null;
    if (this.#theirs !== null) return timingSafeEqual(this.#expected(this.#theirs), frame) ? 'done' : null;
    this.#theirs = frame.slice();
    const greeting = new Uint8Array(GREETING_BYTES);
    new DataView(greeting.buffer).setUint16(0, this.#slots[0], true);
    greeting.set(this.#challenge, SLOT_BYTES);
    greeting.set(proof(this.#secret, 'caller', this.#slots, [this.#theirs, this.#challenge]), SLOT_BYTES + SECRET_BYTES);
    return greeting;
  }

  #expected(theirs: Uint8Array): Buffer {
    return proof(this.#secret, 'owner', this.#slots, [this.#challenge, theirs]);
  }
}
