import type { Clock, Timer } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { METHOD_NOT_FOUND, MODERN_METHOD_UNKNOWN, UPSTREAM_DOWN } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { NewsInterest } from '../core/server-news.ts';
import type { Health, InFlight, ReplySink, RequestOptions, Upstream } from '../core/upstream.ts';
import { ACKNOWLEDGED, acknowledgement, changeFor, changeOf, joined, readAcknowledged } from '../mcp/listen-filter.ts';
import { acknowledgedTasks, acknowledgedWith } from '../mcp/task-messages.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';

/** A client must not wait for the acknowledgement because a member is slow: what that one tells later it is told all the same. */
const PATIENCE_MS = 1000;
/** Before a member is asked again whose subscription has ended. */
const AGAIN_MS = 5000;

/** One subscription to several servers. */
export interface ListenJob {
  /** At least one. */
  readonly members: readonly Upstream[];
  /** For all of them: with the client's id, and nothing in its filter that is not offered here. */
  readonly message: Envelope;
  readonly options: RequestOptions;
  readonly clock: Clock;
  isOffered(uri: string): boolean;
  /** It is over, however; called once. */
  onOver(): void;
}

/** The subscription to one member. */
class Branch implements ReplySink {
  readonly member: Upstream;
  /** Null while the member has not agreed to anything. */
  agreed: NewsInterest | null = null;
  /** Tasks that it has agreed to tell of, by the client's names. */
  tasks: readonly string[] = [];
  flight: InFlight | null = null;
  again: Timer | null = null;
  /** Nothing is known of it yet. */
  isPending = true;
  readonly #listen: MergedListen;

  constructor(member: Upstream, listen: MergedListen) {
    this.member = member;
    this.#listen = listen;
  }

  onStream(): void {}

  onMessage(bytes: Buffer): boolean {
    return this.#listen.onMessage(this, bytes);
  }

  /** A member ends a subscription with a result, or refuses it with an error: both are no end of the whole. */
  onReply(_bytes: Buffer, isError: boolean, code: number): void {
    const isUnknown = isError && code === METHOD_NOT_FOUND;
    this.#listen.onEnded(this, isUnknown ? MODERN_METHOD_UNKNOWN : UPSTREAM_DOWN, 'ended the subscription');
  }

  onFail(refusal: Refusal, detail: string, _health?: Health): void {
    this.#listen.onEnded(this, refusal, detail);
  }

  onCancelled(): void {
    this.#listen.onEnded(this, UPSTREAM_DOWN, 'ended the subscription');
  }
}

/**
 * `subscriptions/listen` at a virtual server (2026-07-28, subscriptions): every member is asked, one acknowledgement says what all of them together
 * have agreed to, and what any of them tells is passed on. A member that ends its part is asked again for as long as the client stays.
 */
export class MergedListen implements InFlight {
  readonly #job: ListenJob;
  readonly #idToken: string;
  readonly #branches: readonly Branch[];
  #sink: ReplySink | null;
  #patience: Timer | null = null;
  #isAcknowledged = false;

  constructor(job: ListenJob, sink: ReplySink) {
    this.#job = job;
    const { bytes, idStart, idEnd } = job.message;
    this.#idToken = bytes.toString('utf8', idStart, idEnd);
    this.#sink = sink;
    this.#branches = job.members.map((member) => new Branch(member, this));
  }

  /** A refusal when no member could be asked. */
  start(): Refusal | null {
    let last: Refusal = UPSTREAM_DOWN;
    for (const branch of this.#branches) last = this.#ask(branch) ?? last;
    if (this.#branches.every(({ flight }) => flight === null)) {
      this.#stop();
      return last;
    }
    this.#patience = this.#job.clock.after(PATIENCE_MS, () => this.#acknowledge());
    return null;
  }

  detach(whenOver: () => void): void {
    this.#stop();
    whenOver();
  }

  resume(): void {
    for (const { flight } of this.#branches) flight?.resume();
  }

  onMessage(branch: Branch, bytes: Buffer): boolean {
    const message = this.#sink === null ? null : scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH });
    if (message === null) return true;
    if (message.method === ACKNOWLEDGED) {
      branch.tasks = acknowledgedTasks(bytes);
      return this.#onAgreed(branch, readAcknowledged(bytes));
    }
    const change = changeOf(message.method, bytes);
    const isShown = change === null || 'list' in change || this.#job.isOffered(change.uri);
    return isShown ? this.#tell(bytes) : true;
  }

  onEnded(branch: Branch, refusal: Refusal, detail: string): void {
    const wasHeard = branch.agreed !== null;
    branch.flight = null;
    branch.isPending = false;
    if (this.#sink === null) return;
    if (!this.#isAcknowledged && !wasHeard && this.#branches.every(({ flight }) => flight === null)) return this.#fail(refusal, detail);
    // Who does not know the method will not know it in a moment.
    if (refusal !== MODERN_METHOD_UNKNOWN) this.#later(branch);
    this.#acknowledgeWhenKnown();
  }

  #ask(branch: Branch): Refusal | null {
    const flight = branch.member.request(this.#job.message, this.#optionsFor(branch.member), branch);
    if (isRefusal(flight)) {
      branch.isPending = false;
      this.#later(branch);
      return flight;
    }
    branch.flight = flight;
    return null;
  }

  /** Of its own tasks only. */
  #optionsFor({ name }: Upstream): RequestOptions {
    const { options } = this.#job;
    const { modern } = options;
    if (modern?.tasks === undefined) return options;
    return { ...options, modern: { ...modern, tasks: modern.tasks.filter(({ server }) => server === name) } };
  }

  #later(branch: Branch): void {
    branch.again = this.#job.clock.after(AGAIN_MS, () => this.#ask(branch));
  }

  /** Of a member that was away nobody knows what it would have told: its lists may be others now. */
  #onAgreed(branch: Branch, agreed: NewsInterest): boolean {
    const wasAway = this.#isAcknowledged;
    branch.agreed = agreed;
    branch.isPending = false;
    if (wasAway) for (const list of agreed.lists) this.#tell(changeFor({ list }, this.#idToken));
    this.#acknowledgeWhenKnown();
    return true;
  }

  #acknowledgeWhenKnown(): void {
    if (this.#branches.every(({ isPending }) => !isPending)) this.#acknowledge();
  }

  #acknowledge(): void {
    if (this.#isAcknowledged || this.#sink === null) return;
    this.#isAcknowledged = true;
    this.#patience?.cancel();
    const agreed = joined(this.#branches.flatMap((branch) => branch.agreed ?? []));
    const uris = agreed.uris.filter((uri) => this.#job.isOffered(uri));
    this.#sink.onStream();
    const tasks = this.#branches.flatMap((branch) => branch.tasks);
    this.#sink.onMessage(acknowledgedWith(acknowledgement({ ...agreed, uris }, this.#idToken), tasks));
  }

  /** Nothing precedes the acknowledgement. */
  #tell(bytes: Buffer): boolean {
    this.#acknowledge();
    return this.#sink?.onMessage(bytes) ?? true;
  }

  #fail(refusal: Refusal, detail: string): void {
    const sink = this.#sink;
    this.#stop();
    sink?.onFail(refusal, detail);
  }

  #stop(): void {
    if (this.#sink === null) return;
    this.#sink = null;
    this.#patience?.cancel();
    for (const branch of this.#branches) {
      branch.again?.cancel();
      branch.flight?.detach(() => undefined);
    }
    this.#job.onOver();
  }
}
