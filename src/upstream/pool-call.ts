import type { Timer } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import type { ChildEra } from '../core/mesh.ts';
import type { Refusal } from '../core/refusal.ts';
import { LISTEN } from '../mcp/modern-methods.ts';
import { isTaskMethod } from '../mcp/task-messages.ts';
import type { Health, InFlight, ReplySink, RequestOptions } from '../core/upstream.ts';
import type { OwnerSink } from './owner-sink.ts';
import type { PoolChild } from './pool-child.ts';

/** What a call is on its way by. `detach`: its client took it back, as clients of 2026-07-28 do by leaving. */
export interface CallFlight {
  resume(): void;
  detach(whenOver: () => void): void;
}

/** What a child must speak to get a message. */
export function eraOf({ modern }: RequestOptions): ChildEra {
  return modern === undefined ? 'legacy' : 'modern';
}

/** Who keeps account of calls. */
export interface CallOwner {
  /** Once, before the caller is told. */
  onOver(call: PoolCall): void;
}

/**
 * One request between the caller and whichever child serves it, here or in another worker. It may have to wait for a
 * child, and be sent again after a worker said that all of its children are at work.
 */
export class PoolCall implements ReplySink, InFlight {
  readonly options: RequestOptions;
  /** Whose child it needs; empty where all share them. */
  readonly key: string;
  /** The client's id as raw JSON. */
  readonly idToken: string;
  /** A subscription: it lasts as long as its client stays, and keeps no child from working. */
  readonly isOpen: boolean;
  /** It asks for what a child has begun: it is sent to a child that is at work, too. */
  readonly isAside: boolean;
  /** Null when it need not be sent again. */
  message: Envelope | null;
  /** The way back to the worker whose client asked; null for a client of this one. */
  readonly origin: OwnerSink | null;
  /** While it waits for a child. */
  late: Timer | null = null;
  /** Where it is: the worker that it was sent to, −1 for none. */
  slot = -1;
  /** Its number at that worker. */
  remoteCall = 0;
  /** The child here that works on it. */
  child: PoolChild | null = null;
  isOver = false;
  readonly #owner: CallOwner;
  #client: ReplySink | null;
  #flight: CallFlight | null = null;
  #whenOver: (() => void) | null = null;
  #onEnd: (() => void) | null = null;

  constructor(
    owner: CallOwner,
    message: Envelope,
    options: RequestOptions,
    key: string,
    client: ReplySink,
    origin: OwnerSink | null = null,
  ) {
    this.#owner = owner;
    this.message = message;
    this.idToken = message.bytes.toString('utf8', message.idStart, message.idEnd);
    this.isOpen = message.method === LISTEN;
    this.isAside = this.isOpen || isTaskMethod(message.method);
    this.options = options;
    this.key = key;
    this.#client = client;
    this.origin = origin;
  }

  /** Of the one child that can serve it (`ModernOptions`); null for any. */
  get life(): string | null {
    return this.options.modern?.life ?? null;
  }

  /** What a child must speak to serve it. */
  get era(): ChildEra {
    return eraOf(this.options);
  }

  /** It is somewhere that tells how it goes on; `onEnd` is called once when it is over, unless it is sent elsewhere before. */
  sent(flight: CallFlight, onEnd: () => void): void {
    this.#flight = flight;
    this.#onEnd = onEnd;
  }

  detach(whenOver: () => void): void {
    this.#client = null;
    if (this.isOver) return whenOver();
    this.#whenOver = whenOver;
    if (this.era === 'legacy') return this.#flight?.resume();
    this.#flight?.detach(() => undefined);
    this.#end();
  }

  resume(): void {
    this.#flight?.resume();
  }

  onStream(): void {
    this.#client?.onStream();
  }

  onMessage(bytes: Buffer): boolean {
    return this.#client?.onMessage(bytes) ?? true;
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    if (this.#end()) this.#client?.onReply(bytes, isError, code);
  }

  onFail(refusal: Refusal, detail: string, health?: Health): void {
    if (this.#end()) this.#client?.onFail(refusal, detail, health);
  }

  onCancelled(): void {
    if (this.#end()) this.#client?.onCancelled();
  }

  /** It ends without a word to the caller, who was told at once. */
  refused(): void {
    this.#end();
  }

  #end(): boolean {
    if (this.isOver) return false;
    this.isOver = true;
    this.message = null;
    this.late?.cancel();
    this.#onEnd?.();
    this.#owner.onOver(this);
    this.#whenOver?.();
    this.#whenOver = null;
    return true;
  }
}
