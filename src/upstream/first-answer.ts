import type { Envelope } from '../core/envelope.ts';
import { INVALID_PARAMS, METHOD_NOT_FOUND, RESOURCE_NOT_FOUND } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { InFlight, ReplySink, RequestOptions, Upstream } from '../core/upstream.ts';

/** Errors by which a server says that it has no such thing. */
const ABSENT: ReadonlySet<number> = new Set([RESOURCE_NOT_FOUND, INVALID_PARAMS, METHOD_NOT_FOUND]);

/** How an attempt ended that was not the last. */
type Ending =
  | { readonly kind: 'error'; readonly bytes: Buffer; readonly code: number }
  | { readonly kind: 'failure'; readonly refusal: Refusal; readonly detail: string };

/**
 * Asks one member after the other until one answers without an error: who has a resource is known by its server only, and the first
 * in the members' order that has it gives it. Of errors the client gets what tells most: that of a server that has the resource and cannot
 * give it, then a failure (that server might have had it), then that there is none.
 */
export class FirstAnswer implements ReplySink, InFlight {
  readonly #message: Envelope;
  readonly #options: RequestOptions;
  readonly #rest: Upstream[];
  readonly #endings: Ending[] = [];
  #sink: ReplySink | null;
  #flight: InFlight | null = null;
  #isOver = false;

  constructor(members: readonly Upstream[], message: Envelope, options: RequestOptions, sink: ReplySink) {
    this.#rest = [...members];
    this.#message = message;
    this.#options = options;
    this.#sink = sink;
  }

  /** A refusal when nothing could be sent to any of them. */
  start(): Refusal | null {
    let first: Refusal | null = null;
    for (let member = this.#rest.shift(); member !== undefined; member = this.#rest.shift()) {
      const refusal = this.#ask(member);
      if (refusal === null) return null;
      first ??= refusal;
    }
    return first;
  }

  /** Nobody else is asked for a client that has left. */
  detach(whenOver: () => void): void {
    this.#sink = null;
    if (this.#isOver || this.#flight === null) whenOver();
    else this.#flight.detach(whenOver);
  }

  resume(): void {
    this.#flight?.resume();
  }

  onStream(): void {
    this.#sink?.onStream();
  }

  onMessage(bytes: Buffer): boolean {
    return this.#sink?.onMessage(bytes) ?? true;
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    if (!isError) return this.#end((sink) => sink.onReply(bytes, false, 0));
    this.#endings.push({ kind: 'error', bytes, code });
    this.#next();
  }

  onFail(refusal: Refusal, detail: string): void {
    this.#endings.push({ kind: 'failure', refusal, detail });
    this.#next();
  }

  onCancelled(): void {
    this.#end((sink) => sink.onCancelled());
  }

  #ask(member: Upstream): Refusal | null {
    const flight = member.request(this.#message, this.#options, this);
    if (!isRefusal(flight)) {
      this.#flight = flight;
      return null;
    }
    this.#endings.push({ kind: 'failure', refusal: flight, detail: member.detail ?? 'refused' });
    return flight;
  }

  #next(): void {
    for (let member = this.#rest.shift(); member !== undefined; member = this.#rest.shift()) if (this.#ask(member) === null) return;
    const told = this.#endings.toSorted((one, other) => weight(one) - weight(other))[0];
    if (told === undefined) return;
    this.#end((sink) => {
      if (told.kind === 'error') sink.onReply(told.bytes, true, told.code);
      else sink.onFail(told.refusal, told.detail);
    });
  }

  #end(tell: (sink: ReplySink) => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const sink = this.#sink;
    this.#sink = null;
    if (sink !== null) tell(sink);
  }
}

/** Lowest first. */
function weight(ending: Ending): number {
  if (ending.kind === 'failure') return 1;
  return ABSENT.has(ending.code) ? 2 : 0;
}
