import type { CallerPort } from '../core/mesh.ts';
import type { Refusal } from '../core/refusal.ts';
import type { Health, ReplySink } from '../core/upstream.ts';
import type { StreamMark } from '../core/upstream-session.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';

/** What a server may ask for of a client that does not read, before it is not asked any more. */
const MAX_UNREAD_BYTES = 1_048_576;

/** Tells the worker whose client asked what comes of it. */
export class LentSink implements ReplySink {
  readonly #port: CallerPort;
  readonly #slot: number;
  readonly #call: number;
  readonly #onEnd: () => void;
  isPaused = false;
  #unreadBytes = 0;
  /** Nobody there hears it any more. */
  #isAbandoned = false;

  constructor(port: CallerPort, slot: number, call: number, onEnd: () => void) {
    this.#port = port;
    this.#slot = slot;
    this.#call = call;
    this.#onEnd = onEnd;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    this.#unreadBytes = 0;
  }

  abandon(): void {
    this.#isAbandoned = true;
  }

  onStream(): void {
    if (!this.#isAbandoned) this.#port.toCaller(this.#slot, { type: 'session', what: 'stream', call: this.#call });
  }

  /** A worker or client that does not keep up misses what needs no answer. */
  onMessage(bytes: Buffer, mark?: StreamMark): boolean {
    if (this.#isAbandoned) return true;
    const isSlow = this.isPaused || this.#port.isSlow(this.#slot);
    if (!isSlow || this.#mustBeSaid(bytes)) this.say(bytes, false, mark);
    return !this.isPaused;
  }

  /** Whether that worker keeps up or not. */
  say(bytes: Buffer, isResponse: boolean, mark: StreamMark | undefined): void {
    if (this.#isAbandoned) return;
    this.#port.toCaller(this.#slot, { type: 'session', what: 'message', call: this.#call, bytes, isResponse, mark: mark ?? null });
  }

  onMark(mark: StreamMark): void {
    if (!this.#isAbandoned) this.#port.toCaller(this.#slot, { type: 'session', what: 'mark', call: this.#call, mark });
  }

  onReply(bytes: Buffer, isError: boolean, code: number, mark: StreamMark | null = null): void {
    this.#end(() => this.#port.toCaller(this.#slot, { type: 'session', what: 'reply', call: this.#call, bytes, isError, code, mark }));
  }

  onSuspended(): void {
    this.#end(() => this.#port.toCaller(this.#slot, { type: 'session', what: 'suspended', call: this.#call }));
  }

  onFail({ code: refusal }: Refusal, detail: string, health: Health | null = null): void {
    this.#end(() => this.#port.toCaller(this.#slot, { type: 'session', what: 'fail', call: this.#call, refusal, detail, health }));
  }

  onCancelled(): void {
    this.over();
  }

  /** It ends in order, without an answer. */
  over(): void {
    this.#end(() => this.#port.toCaller(this.#slot, { type: 'session', what: 'over', call: this.#call }));
  }

  #mustBeSaid(bytes: Buffer): boolean {
    if (scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH })?.kind !== 'request') return false;
    this.#unreadBytes += bytes.length;
    return this.#unreadBytes <= MAX_UNREAD_BYTES;
  }

  #end(tell: () => void): void {
    if (!this.#isAbandoned) tell();
    this.#isAbandoned = true;
    this.#onEnd();
  }
}
