import type { Timer } from '../core/clock.ts';
import type { RequestContext } from '../core/context.ts';
import { EVENT_UNKNOWN, METHOD_NOT_ALLOWED, SESSION_UNKNOWN } from '../core/errors.ts';
import type { Principal } from '../core/principal.ts';
import type { Refusal } from '../core/refusal.ts';
import type { Listening, StreamMark, StreamSink } from '../core/upstream-session.ts';
import { filterAnyTools } from '../mcp/lists.ts';
import { encodeMark, encodeMarkedEvent } from '../mcp/sse.ts';
import { whenExpired } from './expiry.ts';
import type { Parts } from './parts.ts';
import { headersOf, refuse, SSE_TYPE } from './reply.ts';
import type { PositionKind, Session } from './session.ts';
import type { StandingStream } from './session-streams.ts';
import { settle } from './settle.ts';

/** Proxies and clients give up a connection that is silent for half a minute. */
const HEARTBEAT_MS = 15_000;
const COMMENT = ':\n\n';

/** Carries what a server says outside of requests to the client that listens. Ends in exactly one settle. */
export class ClientStream implements StreamSink, StandingStream {
  readonly session: Session;
  readonly who: Principal;
  readonly #parts: Parts;
  readonly #context: RequestContext;
  /** In what its positions are. */
  readonly #kind: PositionKind;
  /** Lists in it were made for this caller. */
  readonly #isMerged: boolean;
  #listening: Listening | null = null;
  #heartbeat: Timer | null = null;
  #expiry: Timer | null = null;
  /** Since the last heartbeat something was written. */
  #isBusy = false;

  constructor(parts: Parts, context: RequestContext, who: Principal, session: Session, kind: PositionKind, isMerged: boolean) {
    this.#parts = parts;
    this.#isMerged = isMerged;
    this.#context = context;
    this.who = who;
    this.session = session;
    this.#kind = kind;
  }

  /** Ties the stream's two ends together. */
  attach(listening: Listening): void {
    const { exchange } = this.#context;
    this.#listening = listening;
    exchange.onDrain = () => listening.resume();
    exchange.onGone = () => this.#leave();
    this.#expiry = whenExpired(this.#parts.clock, this.who.notAfterMs, () => this.end());
  }

  onOpen(): void {
    if (this.#context.isSettled) return;
    this.#context.isStreaming = true;
    this.#context.status = 200;
    this.#parts.load.streams += 1;
    const headers = headersOf(this.#parts, this.#context, SSE_TYPE);
    headers.push('x-accel-buffering', 'no');
    this.#context.exchange.open(200, headers, this.#context);
    // The head leaves with the first bytes.
    this.#context.exchange.write(COMMENT);
    this.#heartbeat = this.#parts.clock.every(HEARTBEAT_MS, () => this.#beat());
  }

  onMessage(bytes: Buffer, isResponse: boolean, mark?: StreamMark): boolean {
    if (this.#context.isSettled) return true;
    const allowed = isResponse ? this.#filtered(bytes) : bytes;
    return allowed === null || this.#write(encodeMarkedEvent(allowed, this.session.sealed(mark, this.#kind)));
  }

  onAnswered(idToken: string): void {
    this.#parts.sessions.answered(this.session, idToken);
  }

  onMark(mark: StreamMark): void {
    if (!this.#context.isSettled) this.#write(encodeMark(this.session.sealed(mark, this.#kind) ?? mark));
  }

  onEnd(refusal: Refusal | null, detail: string): void {
    this.#listening = null;
    if (this.#context.isSettled) return;
    this.#context.detail = detail;
    if (this.#context.isStreaming) return this.end();
    this.#release();
    // Whoever kept a batch is gone, not the session.
    if (refusal === SESSION_UNKNOWN && this.#kind === 'batch') return refuse(this.#parts, this.#context, EVENT_UNKNOWN);
    if (refusal === SESSION_UNKNOWN) this.#parts.sessions.end(this.session, 'lost');
    refuse(this.#parts, this.#context, refusal ?? METHOD_NOT_ALLOWED);
  }

  end(): void {
    const { exchange } = this.#context;
    this.#release();
    if (this.#context.isSettled) return;
    if (!this.#context.isStreaming) return refuse(this.#parts, this.#context, METHOD_NOT_ALLOWED);
    exchange.end();
    settle(this.#parts, this.#context);
  }

  /** A response may be a tool list that an earlier stream did not deliver: it shows what may be called, as any other. */
  #filtered(bytes: Buffer): Buffer | null {
    const { access } = this.who;
    const { server } = this.session;
    if (this.#isMerged || access.allowsAllTools(server)) return bytes;
    return filterAnyTools(bytes, (tool) => access.tool(server, tool).isAllowed);
  }

  #write(event: Buffer | string): boolean {
    this.#isBusy = true;
    return this.#context.exchange.write(event);
  }

  #beat(): void {
    if (!this.#isBusy && !this.#context.isSettled) this.#context.exchange.write(COMMENT);
    this.#isBusy = false;
  }

  /** Leaving is how a client ends such a stream: nothing went wrong. */
  #leave(): void {
    this.#release();
    if (this.#context.isSettled) return;
    if (this.#context.status === 0) this.#context.status = 499;
    settle(this.#parts, this.#context);
  }

  #release(): void {
    this.#heartbeat?.cancel();
    this.#expiry?.cancel();
    this.#listening?.leave();
    this.#listening = null;
    this.#parts.streams.remove(this);
  }
}
