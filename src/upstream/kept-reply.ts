import type { Refusal } from '../core/refusal.ts';
import type { StreamMark } from '../core/upstream-session.ts';
import type { Health, InFlight, ReplySink } from '../core/upstream.ts';
import { rpcError } from '../mcp/messages.ts';
import type { KeptStream } from './kept-stream.ts';

/** What it needs of the request whose sink it is. */
export interface KeptRequest {
  readonly isDone: boolean;
  /** Raw JSON. */
  readonly idToken: string;
  /** The client reads again, or is gone. */
  resume(): void;
}

/**
 * The answer to one request of a session, on its way to who asked, and kept for that client should it leave and come back. Who comes back
 * reads the stream; who asked still has to hear of the end, because places and circuits count by it.
 */
export class KeptReply implements ReplySink, InFlight {
  readonly #stream: KeptStream;
  readonly #asker: ReplySink;
  #entry: KeptRequest | null = null;
  #hasLeft = false;
  /** Nobody has to hear of the end. */
  #isDetached = false;
  #whenOver: (() => void) | null = null;

  constructor(stream: KeptStream, asker: ReplySink) {
    this.#stream = stream;
    this.#asker = asker;
  }

  /** Called with the entry whose sink this is. */
  attach(entry: KeptRequest): this {
    this.#entry = entry;
    return this;
  }

  /** Somebody reads it now. */
  get isHeard(): boolean {
    return this.#isAsked || this.#stream.isRead;
  }

  /** Somebody reads it, or can come back for it. */
  get isReachable(): boolean {
    return this.isHeard || this.#stream.isKept;
  }

  /** Who asked is there, and nobody else has taken the stream over. */
  get #isAsked(): boolean {
    return !this.#hasLeft && !this.#stream.isTakenUp;
  }

  detach(whenOver: () => void): void {
    this.#isDetached = true;
    this.gone();
    if (this.#entry?.isDone === true) whenOver();
    else this.#whenOver = whenOver;
  }

  gone(): void {
    this.#hasLeft = true;
    this.resume();
  }

  resume(): void {
    this.#entry?.resume();
  }

  onStream(): void {
    if (!this.#isAsked) return;
    this.#asker.onStream();
    const { start } = this.#stream;
    if (start !== null) this.#asker.onMark?.(start);
  }

  /** A client that has come back and does not keep up is no reason to leave anything out: it is kept. */
  onMessage(bytes: Buffer): boolean {
    const isAsked = this.#isAsked;
    const mark = this.#stream.say(bytes, false);
    return isAsked ? this.#asker.onMessage(bytes, mark) : true;
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    const asker = this.#asker;
    // One stream has it, not both.
    const isElsewhere = !this.#isAsked && asker.onSuspended !== undefined;
    this.#end(bytes, (mark) => (isElsewhere ? asker.onSuspended?.() : asker.onReply(bytes, isError, code, mark)));
  }

  /** Who comes back later finds an error in place of the answer. */
  onFail(refusal: Refusal, detail: string, health?: Health): void {
    const error = rpcError(this.#entry?.idToken ?? 'null', refusal.rpcCode, refusal.message, null);
    this.#end(Buffer.from(error), () => this.#asker.onFail(refusal, detail, health));
  }

  onCancelled(): void {
    this.#stream.over();
    this.#stream.forget();
    this.#tell(() => this.#asker.onCancelled());
  }

  #end(last: Buffer, tell: (mark: StreamMark | undefined) => void): void {
    const mark = this.#stream.say(last, true);
    this.#stream.over();
    this.#tell(() => tell(mark));
  }

  #tell(tell: () => void): void {
    if (!this.#isDetached) tell();
    this.#whenOver?.();
    this.#whenOver = null;
  }
}
