import type { Envelope } from '../core/envelope.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { Health, InFlight, ReplySink, RequestOptions, Upstream } from '../core/upstream.ts';
import { UpstreamLayer } from './layer.ts';

/** Calls that came by way of a virtual server and are under way at its members: a cancellation has to find the one that has its call. */
export class VirtualCalls {
  readonly #live = new Set<MemberCall>();

  /** The member, with an eye on what is sent to it. Of revision 2026-07-28 nothing need be known: its clients leave to cancel. */
  watched(member: Upstream): Upstream {
    return new WatchedMember(member, this.#live);
  }

  /** The member that has the caller's one call of this id (raw JSON); null for none, and for several, as nobody can tell which is meant. */
  memberWith(idToken: string, principalKey: string): Upstream | null {
    const named = [...this.#live].filter((call) => call.idToken === idToken && call.principalKey === principalKey);
    return named.length === 1 ? (named[0]?.member ?? null) : null;
  }
}

class WatchedMember extends UpstreamLayer {
  readonly #live: Set<MemberCall>;

  constructor(member: Upstream, live: Set<MemberCall>) {
    super(member);
    this.#live = live;
  }

  override request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    if (options.modern !== undefined) return this.inner.request(message, options, sink);
    const call = new MemberCall(this.inner, message, options, sink, this.#live);
    const flight = this.inner.request(message, options, call);
    return isRefusal(flight) ? flight : call.sent(flight);
  }
}

/** One call, until it is over at the member: also for a client that is gone. */
class MemberCall implements ReplySink, InFlight {
  readonly member: Upstream;
  readonly idToken: string;
  readonly principalKey: string;
  readonly #sink: ReplySink;
  readonly #live: Set<MemberCall>;
  #flight: InFlight | null = null;

  constructor(
    member: Upstream,
    { bytes, idStart, idEnd }: Envelope,
    { principalKey }: RequestOptions,
    sink: ReplySink,
    live: Set<MemberCall>,
  ) {
    this.member = member;
    this.idToken = bytes.toString('utf8', idStart, idEnd);
    this.principalKey = principalKey;
    this.#sink = sink;
    this.#live = live;
  }

  sent(flight: InFlight): this {
    this.#flight = flight;
    this.#live.add(this);
    return this;
  }

  detach(whenOver: () => void): void {
    this.#flight?.detach(() => {
      this.#live.delete(this);
      whenOver();
    });
  }

  resume(): void {
    this.#flight?.resume();
  }

  onStream(): void {
    this.#sink.onStream();
  }

  onMessage(bytes: Buffer): boolean {
    return this.#sink.onMessage(bytes);
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    this.#live.delete(this);
    this.#sink.onReply(bytes, isError, code);
  }

  onFail(refusal: Refusal, detail: string, health?: Health): void {
    this.#live.delete(this);
    this.#sink.onFail(refusal, detail, health);
  }

  onCancelled(): void {
    this.#live.delete(this);
    this.#sink.onCancelled();
  }
}
