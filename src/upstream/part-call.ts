import type { Envelope } from '../core/envelope.ts';
import { SESSION_UNKNOWN, UPSTREAM_FAILED } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { Health, InFlight, ReplySink, RequestOptions } from '../core/upstream.ts';
import type { UpstreamSession } from '../core/upstream-session.ts';
import { UpstreamLayer } from './layer.ts';
import type { MemberPart } from './member-part.ts';

/** What hears a member during a request of the client's. */
export interface PartEars {
  sentTo(part: MemberPart): void;
  /** What the client is told of it, in the stream of its request; null: nothing there. */
  heard(part: MemberPart, bytes: Buffer): Buffer | null;
  /** The member has asked something within the request: it is not sent again. */
  readonly hasAsked: boolean;
}

/** A member as one request of a session at a virtual server sees it: everything goes to the member's part of that session. */
export class PartView extends UpstreamLayer {
  readonly #part: MemberPart;
  readonly #ears: PartEars;
  #call: PartCall | null = null;

  constructor(part: MemberPart, ears: PartEars) {
    super(part.upstream);
    this.#part = part;
    this.#ears = ears;
  }

  override request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const call = new PartCall(this.#part, this.#ears, message, options, sink);
    const refusal = call.begin();
    if (refusal !== null) return refusal;
    this.#ears.sentTo(this.#part);
    this.#call = call;
    return call;
  }

  /** Takes the request back. */
  override notify(message: Envelope, options: RequestOptions): Refusal | null {
    this.#call?.takeBack(message, options);
    return null;
  }
}

/**
 * One request at one member: waits until the member has a session for the client, and is sent once more, in a new one, when the member has forgotten that
 * session. Nothing was done then (2025-11-25, Transports, Session Management: 404).
 */
class PartCall implements ReplySink, InFlight {
  readonly #part: MemberPart;
  readonly #ears: PartEars;
  readonly #message: Envelope;
  readonly #options: RequestOptions;
  #sink: ReplySink | null;
  #session: UpstreamSession | null = null;
  #flight: InFlight | null = null;
  #isResent = false;
  /** The member has begun to answer: the request was run, perhaps. */
  #hasBegun = false;
  #whenOver: (() => void) | null = null;

  constructor(part: MemberPart, ears: PartEars, message: Envelope, options: RequestOptions, sink: ReplySink) {
    this.#part = part;
    this.#ears = ears;
    this.#message = message;
    this.#options = options;
    this.#sink = sink;
  }

  begin(): Refusal | null {
    if (this.#part.isReady) return this.#send();
    this.#part.whenReady(() => this.#sendLater());
    return null;
  }

  detach(whenOver: () => void): void {
    if (this.#sink === null) return whenOver();
    this.#whenOver = whenOver;
  }

  resume(): void {
    this.#flight?.resume();
  }

  /** One that waits is not sent at all. */
  takeBack(message: Envelope, options: RequestOptions): void {
    if (this.#sink === null) return;
    if (this.#flight === null) return this.onCancelled();
    this.#part.upstream.notify(message, { ...options, session: this.#session });
  }

  onStream(): void {
    this.#hasBegun = true;
    this.#sink?.onStream();
  }

  onMessage(bytes: Buffer): boolean {
    if (this.#sink === null) return true;
    const said = this.#ears.heard(this.#part, bytes);
    return said === null || this.#sink.onMessage(said);
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    this.#end((sink) => sink.onReply(bytes, isError, code));
  }

  onFail(refusal: Refusal, detail: string, health?: Health): void {
    if (refusal !== SESSION_UNKNOWN) return this.#end((sink) => sink.onFail(refusal, detail, health));
    this.#part.died(this.#session);
    const isUndone = !this.#isResent && !this.#hasBegun && !this.#ears.hasAsked;
    if (!isUndone || this.#sink === null) return this.#end((sink) => sink.onFail(UPSTREAM_FAILED, detail));
    this.#sendAgain();
  }

  onSuspended(): void {
    this.onFail(UPSTREAM_FAILED, 'gave its answer elsewhere');
  }

  onDeferred(): void {
    this.onFail(UPSTREAM_FAILED, 'put its answer off');
  }

  onCancelled(): void {
    this.#end((sink) => sink.onCancelled());
  }

  #sendAgain(): void {
    this.#isResent = true;
    this.#flight = null;
    this.#part.whenReady(() => this.#sendLater());
  }

  #sendLater(): void {
    if (this.#sink === null) return;
    const refusal = this.#send();
    if (refusal !== null) this.#end((sink) => sink.onFail(refusal, this.#part.upstream.detail ?? 'has no session for it'));
  }

  #send(): Refusal | null {
    this.#session = this.#part.session;
    const flight = this.#part.send(this.#message, this.#options, this);
    if (!isRefusal(flight)) {
      this.#flight = flight;
      return null;
    }
    if (flight !== SESSION_UNKNOWN) return flight;
    this.#part.died(this.#session);
    if (this.#isResent) return UPSTREAM_FAILED;
    this.#sendAgain();
    return null;
  }

  #end(tell: (sink: ReplySink) => void): void {
    const sink = this.#sink;
    this.#sink = null;
    if (sink !== null) tell(sink);
    this.#whenOver?.();
    this.#whenOver = null;
  }
}
