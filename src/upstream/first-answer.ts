import type { Clock, Timer } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { INVALID_PARAMS, METHOD_NOT_FOUND, RESOURCE_NOT_FOUND } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { InFlight, ReplySink, RequestOptions, Upstream } from '../core/upstream.ts';
import { cancellationOf } from '../mcp/list-request.ts';
import { onBehalf } from './on-behalf.ts';

/** Errors by which a server says that it has no such thing. */
const ABSENT: ReadonlySet<number> = new Set([RESOURCE_NOT_FOUND, INVALID_PARAMS, METHOD_NOT_FOUND]);

/** How an attempt ended that was not the last. */
type Ending =
  | { readonly kind: 'error'; readonly bytes: Buffer; readonly code: number }
  | { readonly kind: 'failure'; readonly refusal: Refusal; readonly detail: string };

/** One request that any of several members may answer. */
export interface SearchJob {
  /** In order; at least one. */
  readonly members: readonly Upstream[];
  readonly message: Envelope;
  readonly idToken: string;
  readonly principalKey: string;
  /** As the client's request came. */
  readonly options: RequestOptions;
  /** A member that says nothing for so long is not waited for. */
  readonly silenceMs: number;
  readonly clock: Clock;
  /** It is over, however; called once. */
  onOver(): void;
}

/** One member that was asked. */
class Attempt implements ReplySink {
  readonly member: Upstream;
  flight: InFlight | null = null;
  readonly #search: FirstAnswer;

  constructor(member: Upstream, search: FirstAnswer) {
    this.member = member;
    this.#search = search;
  }

  onStream(): void {
    this.#search.onStream(this);
  }

  onMessage(bytes: Buffer): boolean {
    return this.#search.onMessage(this, bytes);
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    if (isError) this.#search.onLost(this, { kind: 'error', bytes, code });
    else this.#search.onFound(this, bytes);
  }

  onFail(refusal: Refusal, detail: string): void {
    this.#search.onLost(this, { kind: 'failure', refusal, detail });
  }

  onCancelled(): void {
    this.#search.cancel();
  }
}

/**
 * Asks one member after the other until one answers without an error: who has a resource is known by its server only, and the first
 * in the members' order that has it gives it. While one says nothing, the next is asked as well, and the first of them that gives it does. Of errors
 * the client gets what tells most: that of a server that has the resource and cannot give it, then a failure (that server might have had it),
 * then that there is none.
 */
export class FirstAnswer implements InFlight {
  readonly job: SearchJob;
  readonly #rest: Upstream[];
  /** Under way; the newest is the last. */
  readonly #attempts: Attempt[] = [];
  readonly #endings: Ending[] = [];
  #sink: ReplySink | null;
  #silence: Timer | null = null;
  #isOver = false;

  constructor(job: SearchJob, sink: ReplySink) {
    this.job = job;
    this.#rest = [...job.members];
    this.#sink = sink;
  }

  /** A refusal when nothing could be sent to any of them. */
  start(): Refusal | null {
    if (this.#askNext()) return null;
    const [first] = this.#endings;
    return first?.kind === 'failure' ? first.refusal : null;
  }

  /** Nobody else is asked for a client that has left. */
  detach(whenOver: () => void): void {
    this.#sink = null;
    this.#silence?.cancel();
    this.#rest.length = 0;
    const flights = this.#attempts.flatMap(({ flight }) => flight ?? []);
    let left = flights.length;
    if (left === 0) return whenOver();
    for (const flight of flights) {
      flight.detach(() => {
        left -= 1;
        if (left > 0) return;
        this.#end(() => undefined);
        whenOver();
      });
    }
  }

  resume(): void {
    for (const { flight } of this.#attempts) flight?.resume();
  }

  /** The client took its request back. */
  cancel(): void {
    this.#end((sink) => sink.onCancelled());
  }

  /** What those say that are not waited for any more would only be confusing. */
  onStream(attempt: Attempt): void {
    if (attempt === this.#attempts.at(-1)) this.#sink?.onStream();
  }

  onMessage(attempt: Attempt, bytes: Buffer): boolean {
    if (this.#isOver || attempt !== this.#attempts.at(-1)) return true;
    this.#awaitSilence();
    return this.#sink?.onMessage(bytes) ?? true;
  }

  onFound(attempt: Attempt, bytes: Buffer): void {
    this.#remove(attempt);
    this.#end((sink) => sink.onReply(bytes, false, 0));
  }

  onLost(attempt: Attempt, ending: Ending): void {
    if (this.#isOver) return;
    const isNewest = attempt === this.#attempts.at(-1);
    this.#remove(attempt);
    this.#endings.push(ending);
    if (isNewest && this.#askNext()) return;
    if (this.#attempts.length === 0) this.#tellBest();
  }

  /** Whether any of the rest took it. */
  #askNext(): boolean {
    this.#silence?.cancel();
    for (let member = this.#rest.shift(); member !== undefined; member = this.#rest.shift()) {
      const attempt = new Attempt(member, this);
      const flight = member.request(this.job.message, this.#shared(), attempt);
      if (!isRefusal(flight)) {
        attempt.flight = flight;
        this.#attempts.push(attempt);
        this.#awaitSilence();
        return true;
      }
      this.#endings.push({ kind: 'failure', refusal: flight, detail: member.detail ?? 'refused' });
    }
    return false;
  }

  #awaitSilence(): void {
    this.#silence?.cancel();
    if (this.#rest.length > 0) this.#silence = this.job.clock.after(this.job.silenceMs, () => void this.#askNext());
  }

  #remove(attempt: Attempt): void {
    const at = this.#attempts.indexOf(attempt);
    if (at >= 0) this.#attempts.splice(at, 1);
  }

  #tellBest(): void {
    const told = this.#endings.toSorted((one, other) => weight(one) - weight(other))[0];
    if (told === undefined) return;
    this.#end((sink) => {
      if (told.kind === 'error') sink.onReply(told.bytes, true, told.code);
      else sink.onFail(told.refusal, told.detail);
    });
  }

  #shared(): RequestOptions {
    const { options, principalKey } = this.job;
    return { ...options, ...onBehalf(principalKey, 'first') };
  }

  /** What nobody waits for any more must hold no places. */
  #withdraw(): void {
    for (const { member, flight } of this.#attempts.splice(0)) {
      // In revision 2026-07-28 who leaves has cancelled.
      if (this.job.options.modern !== undefined) flight?.detach(() => undefined);
      else member.notify(cancellationOf(this.job.idToken), this.#shared());
    }
  }

  #end(tell: (sink: ReplySink) => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#silence?.cancel();
    this.#withdraw();
    this.job.onOver();
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
