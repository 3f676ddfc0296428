import type { Timer } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import type { PlaceTicket } from '../core/limit.ts';
import type { Refusal } from '../core/refusal.ts';
import type { StreamMark } from '../core/upstream-session.ts';
import type { Health, InFlight, ReplySink, RequestOptions } from '../core/upstream.ts';

/** What a call tells its gate. */
export interface CallGate {
  /** It is over, however: called once. Null: its end tells nothing of the upstream. */
  onOver(call: GatedCall, health: Health | null): void;
  /** Its answer comes another way, perhaps much later: the upstream is alive. It goes on. */
  onDeferred(call: GatedCall): void;
}

function nothing(): void {}

/**
 * One request between the caller and the upstream: waits for its place, is sent, and gives the place back when the upstream
 * is done with it. Listens on for a client that is gone, because how the request ends still tells of the upstream.
 */
export class GatedCall implements ReplySink, InFlight {
  readonly options: RequestOptions;
  /** Null once it was sent: the upstream has its own copy. */
  message: Envelope | null;
  isProbe = false;
  hasPlace = false;
  isOver = false;
  sentMs = 0;
  /** While it waits. */
  ticket: PlaceTicket | null = null;
  late: Timer | null = null;
  readonly bytes: number;
  /** The client's id as raw JSON; empty where no cancellation has to find it. */
  readonly idToken: string;
  readonly #gate: CallGate;
  #client: ReplySink | null;
  #flight: InFlight | null = null;
  #whenOver: (() => void) | null = null;

  constructor(gate: CallGate, message: Envelope, options: RequestOptions, client: ReplySink, idToken: string) {
    this.#gate = gate;
    this.message = message;
    this.options = options;
    this.bytes = message.bytes.length;
    this.idToken = idToken;
    this.#client = client;
  }

  get principalKey(): string {
    return this.options.principalKey;
  }

  sent(flight: InFlight): void {
    this.#flight = flight;
    this.message = null;
  }

  /** It ends without an answer, for a reason of the gateway. */
  end(): void {
    this.#over(null);
  }

  /** The same, and the client is told. */
  fail(refusal: Refusal, detail: string): void {
    this.onFail(refusal, detail);
  }

  detach(whenOver: () => void): void {
    this.#client = null;
    if (this.isOver) return whenOver();
    this.#whenOver = whenOver;
    if (this.options.modern !== undefined) return this.#cancel();
    if (this.#flight === null) this.#over(null);
    else if (this.#flight.gone === undefined) this.#flight.resume();
    else this.#flight.gone();
  }

  resume(): void {
    this.#flight?.resume();
  }

  onStream(): void {
    this.#client?.onStream();
  }

  onMessage(bytes: Buffer, mark?: StreamMark): boolean {
    return this.#client?.onMessage(bytes, mark) ?? true;
  }

  onMark(mark: StreamMark): void {
    this.#client?.onMark?.(mark);
  }

  onReply(bytes: Buffer, isError: boolean, code: number, mark?: StreamMark): void {
    this.#over('alive');
    this.#client?.onReply(bytes, isError, code, mark);
  }

  onSuspended(): void {
    this.#over('alive');
    this.#client?.onSuspended?.();
  }

  /** It keeps its place: the upstream works on. */
  onDeferred(): void {
    if (this.isOver) return;
    this.#gate.onDeferred(this);
    this.#client?.onDeferred?.();
  }

  onFail(refusal: Refusal, detail: string, health?: Health): void {
    if (this.isOver) return;
    this.#over(health ?? null);
    this.#client?.onFail(refusal, detail);
  }

  onCancelled(): void {
    if (this.isOver) return;
    this.#over(null);
    this.#client?.onCancelled();
  }

  /** A client that leaves a request of revision 2026-07-28 cancels it. */
  #cancel(): void {
    this.#flight?.detach(nothing);
    this.#over(null);
  }

  #over(health: Health | null): void {
    if (this.isOver) return;
    this.isOver = true;
    this.message = null;
    this.ticket?.cancel();
    this.late?.cancel();
    this.#gate.onOver(this, health);
    this.#whenOver?.();
    this.#whenOver = null;
  }
}
