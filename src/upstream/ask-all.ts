import type { Clock, Timer } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_TIMEOUT } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { InFlight, ReplySink, RequestOptions, Upstream } from '../core/upstream.ts';
import { cancellationOf } from '../mcp/list-request.ts';
import { rpcResult } from '../mcp/messages.ts';

export interface AskAllJob {
  /** At least one. */
  readonly members: readonly Upstream[];
  readonly message: Envelope;
  readonly options: RequestOptions;
  readonly idToken: string;
  readonly clock: Clock;
  /** Members that have not answered by then are not waited for. */
  readonly timeoutMs: number;
  /** This one has agreed, perhaps when the client was answered already. */
  onAgreed(member: Upstream): void;
}

/** Puts one request to several members at once. It was successful where any of them agrees; else the client gets what the first of them says. */
export class AskAll implements InFlight {
  readonly #job: AskAllJob;
  readonly #endings: ((sink: ReplySink) => void)[] = [];
  readonly #open = new Set<Upstream>();
  #sink: ReplySink | null;
  #late: Timer | null = null;
  #hasAgreed = false;

  constructor(job: AskAllJob, sink: ReplySink) {
    this.#job = job;
    this.#sink = sink;
  }

  /** Nothing is told inside. */
  start(): this {
    const { members, message, options, clock, timeoutMs } = this.#job;
    this.#late = clock.after(timeoutMs, () => this.#finish());
    for (const [index, member] of members.entries()) {
      this.#open.add(member);
      const flight = member.request(message, options, this.#sinkOf(member, index));
      if (isRefusal(flight)) this.#lost(member, index, flight, member.detail ?? 'refused');
    }
    queueMicrotask(() => this.#onDone());
    return this;
  }

  detach(whenOver: () => void): void {
    this.#sink = null;
    whenOver();
  }

  resume(): void {}

  /** The client took its request back. */
  cancel(): void {
    for (const member of this.#open) member.notify(cancellationOf(this.#job.idToken), this.#job.options);
    this.#end((sink) => sink.onCancelled());
  }

  #sinkOf(member: Upstream, index: number): ReplySink {
    return {
      onStream: () => undefined,
      onMessage: () => true,
      onReply: (bytes, isError, code) => {
        this.#open.delete(member);
        if (isError) this.#endings[index] = (sink) => sink.onReply(bytes, true, code);
        else this.#agreed(member);
        this.#onDone();
      },
      onFail: (refusal, detail) => {
        this.#lost(member, index, refusal, detail);
        this.#onDone();
      },
      onCancelled: () => {
        this.#open.delete(member);
        this.#onDone();
      },
    };
  }

  #agreed(member: Upstream): void {
    this.#hasAgreed = true;
    this.#job.onAgreed(member);
  }

  #lost(member: Upstream, index: number, refusal: Refusal, detail: string): void {
    this.#open.delete(member);
    this.#endings[index] = (sink) => sink.onFail(refusal, detail);
  }

  #onDone(): void {
    if (this.#open.size === 0) this.#finish();
  }

  #finish(): void {
    // By their order, not by which was first to say so.
    const ending = this.#endings.find((one) => one !== undefined);
    this.#end((sink) => {
      if (this.#hasAgreed) sink.onReply(Buffer.from(rpcResult(this.#job.idToken, '{}')), false, 0);
      else if (ending === undefined) sink.onFail(UPSTREAM_TIMEOUT, 'none of its servers answered');
      else ending(sink);
    });
  }

  #end(tell: (sink: ReplySink) => void): void {
    const sink = this.#sink;
    this.#sink = null;
    this.#late?.cancel();
    if (sink !== null) tell(sink);
  }
}
