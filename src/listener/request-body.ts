import { BODY_TOO_LARGE, REQUEST_TIMEOUT } from '../core/errors.ts';
import type { BodyReceiver } from '../core/exchange.ts';
import type { Refusal } from '../core/refusal.ts';
import { BodyIntake } from './body-intake.ts';

/** What a body needs from the engine that feeds it. */
export interface BodyHost {
  /** Stop and resume reading from the peer. */
  pauseBody(): void;
  resumeBody(): void;
  /** Call `deliver` in the next turn of the loop. */
  deferDelivery(): void;
}

const HELD_BYTES = 64 * 1024;

/**
 * A request's body between the engine, which feeds it as it arrives, and the application, which asks for it once, now
 * or later or never. Until it is asked for, little is read ahead; after an answer, what still comes is only counted.
 */
export class RequestBody {
  isComplete: boolean;
  /** Bytes that arrived after nobody wanted them any more. */
  discardedBytes = 0;
  readonly #host: BodyHost;
  readonly #declaredBytes: number;
  readonly #intake: BodyIntake;
  #receive: BodyReceiver | null = null;
  #failure: Refusal | null = null;
  #isDiscarding = false;
  #isPaused = false;
  #isDelivered = false;

  /** `declaredBytes`: −1 chunked, 0 none. */
  constructor(host: BodyHost, declaredBytes: number, maxBytes: number) {
    this.#host = host;
    this.#declaredBytes = declaredBytes;
    this.#intake = new BodyIntake(declaredBytes, maxBytes);
    this.isComplete = declaredBytes === 0;
  }

  /** The application asks and has not been answered yet. */
  get isAwaited(): boolean {
    return this.#receive !== null && !this.#isDelivered;
  }

  /** An answer now may keep the connection: the body is complete, and a long one was not ignored. */
  get isInStep(): boolean {
    return this.isComplete && (this.#receive !== null || this.#declaredBytes <= HELD_BYTES);
  }

  /** The rest will never come. */
  get isBroken(): boolean {
    return this.#failure !== null;
  }

  get seenBytes(): number {
    return this.#intake.seenBytes;
  }

  /** The application's `readBody`. */
  request(limitBytes: number, receive: BodyReceiver): void {
    if (this.#receive !== null) throw new Error('readBody was called twice');
    this.#receive = receive;
    this.#intake.limitTo(limitBytes);
    if (this.isComplete || this.#failure !== null || this.#intake.isTooLarge) this.#host.deferDelivery();
    else this.#resume();
  }

  /** The engine's next piece, valid during the call only. */
  feed(chunk: Uint8Array, isLast: boolean): void {
    this.isComplete ||= isLast;
    if (this.#isDiscarding) {
      this.discardedBytes += chunk.length;
      return;
    }
    this.#intake.push(chunk);
    if (this.#receive !== null) {
      if (this.isComplete || this.#intake.isTooLarge) this.deliver();
    } else if (!this.isComplete && !this.#isPaused && this.#intake.seenBytes > HELD_BYTES) {
      this.#isPaused = true;
      this.#host.pauseBody();
    }
  }

  /** The body will not become complete. */
  fail(refusal: Refusal): void {
    this.#failure ??= refusal;
    if (this.#receive !== null) this.deliver();
  }

  /** The peer is gone: whoever waits for the body is told. */
  lose(): void {
    this.fail(REQUEST_TIMEOUT);
  }

  /** Nobody wants the rest. */
  discard(): void {
    this.#isDiscarding = true;
    this.#resume();
  }

  /** Hands over what there is, once. */
  deliver(): void {
    const receive = this.#receive;
    if (receive === null || this.#isDelivered) return;
    this.#isDelivered = true;
    this.#isDiscarding = true;
    const refusal = this.#intake.isTooLarge ? BODY_TOO_LARGE : this.isComplete ? null : this.#failure;
    receive(refusal === null ? this.#intake.take() : null, refusal);
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#host.resumeBody();
  }
}
