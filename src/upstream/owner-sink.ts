import type { MeshPort } from '../core/mesh.ts';
import type { Refusal } from '../core/refusal.ts';
import type { Health, ReplySink } from '../core/upstream.ts';

/** Tells the worker whose client asked how its call goes on. */
export class OwnerSink implements ReplySink {
  readonly #port: MeshPort;
  /** The worker whose client asked. */
  readonly slot: number;
  readonly #call: number;
  readonly #onEnd: () => void;
  #isPaused = false;
  /** Of the child that was asked. */
  #life = '';
  /** That worker is gone. */
  #isAbandoned = false;

  constructor(port: MeshPort, slot: number, call: number, onEnd: () => void) {
    this.#port = port;
    this.slot = slot;
    this.#call = call;
    this.#onEnd = onEnd;
  }

  onLife(life: string): void {
    this.#life = life;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
  }

  abandon(): void {
    this.#isAbandoned = true;
  }

  /** Nothing was sent, and the worker may try another. */
  busy(): void {
    if (!this.#isAbandoned) this.#port.toCaller(this.slot, { type: 'busy', call: this.#call });
    this.#onEnd();
  }

  onStream(): void {
    if (!this.#isAbandoned) this.#port.toCaller(this.slot, { type: 'stream', call: this.#call });
  }

  /** A worker that does not keep up misses steps of progress, as a client does. */
  onMessage(bytes: Buffer): boolean {
    if (this.#isAbandoned || this.#port.isSlow(this.slot)) return true;
    if (!this.#isPaused) this.#port.toCaller(this.slot, { type: 'message', call: this.#call, bytes });
    return !this.#isPaused;
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    this.#end(() => this.#port.toCaller(this.slot, { type: 'reply', call: this.#call, bytes, isError, code, life: this.#life }));
  }

  onFail(refusal: Refusal, detail: string, health?: Health): void {
    const fail = { type: 'fail', call: this.#call, refusal: refusal.code, detail, health: health ?? null } as const;
    this.#end(() => this.#port.toCaller(this.slot, fail));
  }

  onCancelled(): void {
    this.#end(() => this.#port.toCaller(this.slot, { type: 'cancelled', call: this.#call }));
  }

  #end(tell: () => void): void {
    if (!this.#isAbandoned) tell();
    this.#onEnd();
  }
}
