import type { RequestContext } from '../core/context.ts';
import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_INVALID } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InFlight, ReplySink } from '../core/upstream.ts';
import type { SessionAgreement, UpstreamSession } from '../core/upstream-session.ts';
import { acceptsOf } from '../mcp/content.ts';
import { initializeResult, sessionInitializeResult } from '../mcp/initialize.ts';
import { encodeSseEvent } from '../mcp/sse.ts';
import type { Parts } from './parts.ts';
import { headersOf, JSON_TYPE, refuse, SSE_TYPE } from './reply.ts';
import { passPlace, settle, settleGone } from './settle.ts';

/**
 * Carries the upstream's answer to a client's `initialize`: what the upstream agreed to, with a session id of the gateway's
 * own. Ends in exactly one settle. A session whose client left before it had the id is closed at once: nobody could use it.
 */
export class Opening implements ReplySink {
  readonly #parts: Parts;
  readonly #context: RequestContext;
  readonly #message: Envelope;
  readonly #session: UpstreamSession;
  /** Gives the in-flight place back, once the client is gone. */
  #leave: (() => void) | null = null;

  constructor(parts: Parts, context: RequestContext, message: Envelope, session: UpstreamSession) {
    this.#parts = parts;
    this.#context = context;
    this.#message = message;
    this.#session = session;
  }

  /** The reply is awaited, also for a client that is gone: only then can its session be closed. */
  attach(_flight: InFlight): void {
    this.#context.exchange.onGone = () => {
      this.#leave = passPlace(this.#parts, this.#context);
      settleGone(this.#parts, this.#context);
    };
  }

  onStream(): void {}

  onMessage(): boolean {
    return true;
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    this.#leave?.();
    const { agreement } = this.#session;
    if (this.#context.isSettled) return this.#session.close();
    if (isError) this.#context.upstreamErrorCode = code;
    if (isError) return this.#answer(bytes, '');
    if (agreement === null) return this.onFail(UPSTREAM_INVALID, 'agreed on nothing');
    this.#answerAgreed(agreement);
  }

  onFail(refusal: Refusal, detail: string): void {
    this.#leave?.();
    this.#context.detail = detail;
    refuse(this.#parts, this.#context, refusal);
  }

  onCancelled(): void {
    this.onFail(UPSTREAM_INVALID, 'cancelled');
  }

  #answerAgreed({ info, place }: SessionAgreement): void {
    const { idToken, budgetKey: principalKey, server } = this.#context;
    if (place === null) return this.#answer(Buffer.from(initializeResult(info, this.#message.protocolVersion, idToken)), '');
    const { id, session } = this.#parts.sessions.mint({ principalKey, server }, info.protocolVersion, place, this.#session);
    this.#context.session = session.ref;
    this.#parts.events.sessionOpened(this.#context);
    this.#answer(Buffer.from(sessionInitializeResult(info, idToken)), id);
  }

  #answer(bytes: Buffer, sessionId: string): void {
    const { exchange } = this.#context;
    const isJson = acceptsOf(exchange.head.accept).json;
    const headers = headersOf(this.#parts, this.#context, isJson ? JSON_TYPE : SSE_TYPE);
    if (sessionId !== '') headers.push('mcp-session-id', sessionId);
    this.#context.status = 200;
    exchange.send(200, headers, isJson ? bytes : encodeSseEvent(bytes), this.#context);
    settle(this.#parts, this.#context);
  }
}
