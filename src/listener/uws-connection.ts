import type { Timer } from '../core/clock.ts';
import type { HttpResponse } from './native.ts';
import type { RequestBody } from './request-body.ts';
import type { UwsContext } from './uws-context.ts';

const BODY_LINGER_MS = 2000;
/** Of a body that nobody wants: beyond it the answer is likely lost, whenever it is given. */
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024;
const FLUSH_EVERY_MS = 100;
const MAX_FLUSHES = 50;
const SURELY_SENT_BYTES = 64 * 1024;

/**
 * The socket under one request, as far as it outlives the answer. µWS gives a handler an object that dies with the
 * answer; a request that its first route yields to a second one leaves behind a twin (`raw`) that still reaches the
 * socket: to close it when the answer is out, or to learn that it closed. The twin is only valid while the
 * socket is known to be open, which is the case as long as the abort handler set last on the socket is ours.
 */
export class UwsConnection {
  readonly isPeerClosing: boolean;
  /** Of a streamed answer. */
  streamedBytes = 0;
  wasBlocked = false;
  readonly #context: UwsContext;
  readonly #peerIp: string;
  #raw: HttpResponse | null;
  #timer: Timer | null = null;
  #isLingering = false;
  #onBody: (() => void) | null = null;

  /** `isPeerClosing`: µWS itself closes the socket after the answer because the request asked for it. */
  constructor(context: UwsContext, raw: HttpResponse | null, peerIp: string, isPeerClosing: boolean) {
    this.#context = context;
    this.#raw = raw;
    this.#peerIp = peerIp;
    this.isPeerClosing = isPeerClosing;
  }

  /** Whether the socket may be kept open for a while after its last answer, and closed by us. */
  get canLinger(): boolean {
    return this.#raw !== null && !this.isPeerClosing;
  }

  /** The socket is closed. */
  closed(): void {
    this.#raw = null;
    this.#onBody = null;
    this.#timer?.cancel();
    this.#context.addresses.give(this.#peerIp);
  }

  /** The answer is out; µWS keeps the socket or closes it by itself. */
  answered(): void {
    if (this.#context.addresses.isOn) this.#watchClose();
    this.#raw = null;
  }

  closeNow(): void {
    const raw = this.#raw;
    if (raw === null) return;
    this.#watchClose();
    raw.close();
  }

  /**
   * An early answer is out while the peer still sends: closing now would reset the connection and could take the
   * answer with it. What comes is thrown away, for a while.
   */
  lingerForBody(body: RequestBody): void {
    if (this.#raw === null) return;
    if (body.isComplete) return this.closeNow();
    this.#isLingering = true;
    this.#watchClose();
    this.#timer = this.#context.clock.after(BODY_LINGER_MS, () => this.closeNow());
  }

  /** Whether the rest of a body of this declared length (−1: chunked) may be worth waiting for. */
  canAwaitBody(declaredBytes: number): boolean {
    return this.isPeerClosing && declaredBytes <= MAX_DISCARDED_BYTES;
  }

  /** Calls back when the body is complete, or was waited for long enough; never when the socket closes before. */
  awaitBody(then: () => void): void {
    this.#onBody = then;
    this.#timer = this.#context.clock.after(BODY_LINGER_MS, () => this.#bodyAwaited());
  }

  /** A piece of the body arrived. */
  bodyArrived(body: RequestBody): void {
    if (!body.isComplete && body.discardedBytes <= MAX_DISCARDED_BYTES) return;
    if (this.#isLingering) this.closeNow();
    else this.#bodyAwaited();
  }

  #bodyAwaited(): void {
    const then = this.#onBody;
    if (then === null) return;
    this.#onBody = null;
    this.#timer?.cancel();
    then();
  }

  /**
   * A streamed answer is out that µWS cannot close after. Reading stops, so that no further request is parsed; a
   * reader that was slow gets time for what µWS still holds, which only an empty cork makes it send.
   */
  lingerForReader(): void {
    if (this.#raw === null) return;
    this.#watchClose();
    this.#raw.pause();
    this.#flushLater(this.wasBlocked || this.streamedBytes > SURELY_SENT_BYTES ? MAX_FLUSHES : 1);
  }

  #flushLater(times: number): void {
    this.#timer = this.#context.clock.after(times === 1 ? 0 : FLUSH_EVERY_MS, () => {
      const raw = this.#raw;
      if (raw === null) return;
      raw.cork(noop);
      if (this.#raw === null) return;
      if (times <= 1) return this.closeNow();
      raw.pause();
      this.#flushLater(times - 1);
    });
  }

  #watchClose(): void {
    this.#raw?.onAborted(() => this.closed());
  }
}

function noop(): void {}
