import type { Timer } from '../core/clock.ts';
import type { RequestContext } from '../core/context.ts';
import type { Envelope } from '../core/envelope.ts';
import { SESSION_UNKNOWN, UPSTREAM_FAILED, UPSTREAM_INVALID } from '../core/errors.ts';
import type { Principal } from '../core/principal.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InFlight, ReplySink, TransportName } from '../core/upstream.ts';
import type { StreamMark } from '../core/upstream-session.ts';
import { acceptsOf } from '../mcp/content.ts';
import { filterTools } from '../mcp/lists.ts';
import { LATEST_LEGACY_REVISION } from '../mcp/revisions.ts';
import { encodeMark, encodeMarkedEvent, encodeSseEvent } from '../mcp/sse.ts';
import { looksLikeToolError } from '../mcp/tool-result.ts';
import type { Parts } from './parts.ts';
import type { Session } from './session.ts';
import { answer, headersOf, JSON_TYPE, markRefused, refusalBody, refuse, SSE_TYPE } from './reply.ts';
import { passPlace, settle, settleGone } from './settle.ts';

/** How long an event stream may be silent before its head is sent all the same. */
const QUIET_START_MS = 20;
const COMMENT = ':\n\n';

/**
 * Carries one upstream's answer to the client that asked: as JSON, or as an event stream once the upstream streams or
 * the request asked for progress. Ends in exactly one settle.
 */
export class Relay implements ReplySink {
  readonly #parts: Parts;
  readonly #context: RequestContext;
  readonly #who: Principal;
  readonly #method: string;
  /** A merged list was made for this caller. */
  readonly #isMerged: boolean;
  /** Null: what all share. */
  readonly #session: Session | null;
  readonly #acceptsJson: boolean;
  readonly #acceptsSse: boolean;
  /** The final answer goes out as an event even when nothing preceded it. */
  readonly #isSseWanted: boolean;
  #hasWritten = false;
  #flight: InFlight | null = null;
  /** Runs once the client has a position from which it can fetch the rest. */
  #poll: Timer | null = null;
  #writtenMs = 0;

  constructor(
    parts: Parts,
    context: RequestContext,
    who: Principal,
    message: Envelope,
    transport: TransportName,
    session: Session | null = null,
  ) {
    const accepts = acceptsOf(context.exchange.head.accept);
    this.#parts = parts;
    this.#context = context;
    this.#who = who;
    this.#method = message.method;
    this.#session = session;
    this.#isMerged = transport === 'virtual';
    this.#acceptsJson = accepts.json;
    this.#acceptsSse = accepts.sse;
    this.#isSseWanted = accepts.sse && transport === 'stdio' && message.tokenStart >= 0;
  }

  /** The client could not come back for the rest of a stream: it has one connection, or takes no events. */
  get isFetchedHere(): boolean {
    return this.#context.exchange.isOnlyWay === true || !this.#acceptsSse;
  }

  /** Ties the request's two ends together: a client that leaves detaches it, a client that reads again resumes it. */
  attach(flight: InFlight): void {
    const { exchange } = this.#context;
    exchange.onDrain = () => flight.resume();
    exchange.onGone = () => {
      this.#poll?.cancel();
      flight.detach(passPlace(this.#parts, this.#context));
      settleGone(this.#parts, this.#context);
    };
    this.#flight = flight;
  }

  onStream(): void {
    if (!this.#acceptsSse || this.#context.isStreaming || this.#context.isSettled) return;
    this.#openStream();
    this.#parts.clock.after(QUIET_START_MS, () => this.#showStream());
  }

  onMessage(bytes: Buffer, mark?: StreamMark): boolean {
    if (!this.#acceptsSse || this.#context.isSettled) return true;
    this.#openStream();
    this.#hasWritten = true;
    this.#noted(mark);
    return this.#context.exchange.write(this.#event(bytes, mark));
  }

  onMark(mark: StreamMark): void {
    if (!this.#acceptsSse || this.#context.isSettled) return;
    this.#openStream();
    this.#hasWritten = true;
    this.#noted(mark);
    this.#context.exchange.write(encodeMark(this.#session?.sealed(mark) ?? mark));
  }

  onReply(bytes: Buffer, isError: boolean, code: number, mark?: StreamMark): void {
    if (this.#context.isSettled) return;
    this.#poll?.cancel();
    if (isError) this.#context.upstreamErrorCode = code;
    else if (this.#method === 'tools/call') this.#context.isToolError = looksLikeToolError(bytes);
    const allowed = isError ? bytes : this.#filtered(bytes);
    if (allowed === null) return this.onFail(UPSTREAM_INVALID, 'malformed tools/list result');
    if (this.#context.isStreaming || this.#isSseWanted || !this.#acceptsJson) return this.#endStream(allowed, mark);
    answer(this.#parts, this.#context, 200, JSON_TYPE, allowed);
  }

  onFail(refusal: Refusal, detail: string): void {
    if (this.#context.isSettled) return;
    this.#poll?.cancel();
    this.#context.detail = detail;
    if (refusal === SESSION_UNKNOWN && this.#session !== null) this.#parts.sessions.end(this.#session, 'lost');
    if (!this.#context.isStreaming) return refuse(this.#parts, this.#context, refusal);
    // The status line is gone already: the failure travels in band.
    markRefused(this.#context, refusal);
    this.#endStream(Buffer.from(refusalBody(this.#context, refusal)));
  }

  /** The client has a position from which it fetches the rest: an end in order, without an answer. */
  onSuspended(): void {
    if (this.#context.isSettled) return;
    if (!this.#context.isStreaming) return this.onFail(UPSTREAM_FAILED, 'ended its stream without an answer');
    this.#suspend();
  }

  /** The same, but its place is taken until there is an answer. */
  onDeferred(): void {
    if (this.#context.isSettled) return;
    this.#flight?.detach(passPlace(this.#parts, this.#context));
    this.onSuspended();
  }

  /** Ends without a message: an empty event stream, or 202 for a client that takes none. */
  onCancelled(): void {
    if (this.#context.isSettled) return;
    this.#poll?.cancel();
    this.#context.detail = 'cancelled';
    if (this.#acceptsSse) {
      this.#openStream();
      this.#context.exchange.end();
    } else {
      this.#context.exchange.send(202, headersOf(this.#parts, this.#context, ''), '', this.#context);
    }
    settleGone(this.#parts, this.#context);
  }

  /** Gives the connection of a call back that nothing is said about (2025-11-25, Transports: clients poll). */
  #watch(silentMs: number): void {
    const { pollAfterMs } = this.#parts.settings;
    this.#poll = this.#parts.clock.after(pollAfterMs - silentMs, () => {
      if (this.#context.isSettled) return;
      const sinceMs = this.#parts.clock.nowMs() - this.#writtenMs;
      if (sinceMs < pollAfterMs) return this.#watch(sinceMs);
      this.#flight?.detach(passPlace(this.#parts, this.#context));
      this.#suspend();
    });
  }

  #noted(mark: StreamMark | undefined): void {
    if (mark === undefined || this.#session === null) return;
    this.#writtenMs = this.#parts.clock.nowMs();
    if (this.#poll === null && mark.eventId !== '' && this.#isPolled) this.#watch(0);
  }

  /** Who says so with every request fetches the rest; whoever speaks over a connection of its own could not. */
  get #isPolled(): boolean {
    return this.#parts.settings.pollAfterMs > 0 && this.#context.exchange.head.protocolVersion === LATEST_LEGACY_REVISION;
  }

  #suspend(): void {
    this.#poll?.cancel();
    this.#context.detail = 'suspended';
    this.#context.exchange.end();
    settle(this.#parts, this.#context);
  }

  /** A list shows exactly what may be called: hidden means uncallable and the reverse. */
  #filtered(bytes: Buffer): Buffer | null {
    if (this.#method !== 'tools/list' || this.#isMerged) return bytes;
    const { access } = this.#who;
    const { server } = this.#context;
    if (access.allowsAllTools(server)) return bytes;
    return filterTools(bytes, (tool) => access.tool(server, tool).isAllowed);
  }

  /** The head leaves with the first bytes: a stream that begins with silence shows itself by a comment (WHATWG, event streams). */
  #showStream(): void {
    if (this.#hasWritten || this.#context.isSettled) return;
    this.#context.exchange.write(COMMENT);
  }

  #openStream(): void {
    if (this.#context.isStreaming || this.#context.isSettled) return;
    this.#context.isStreaming = true;
    this.#parts.load.streams += 1;
    const headers = headersOf(this.#parts, this.#context, SSE_TYPE);
    headers.push('x-accel-buffering', 'no');
    this.#context.status = 200;
    this.#context.exchange.open(200, headers, this.#context);
  }

  #event(bytes: Buffer, mark: StreamMark | undefined): Buffer {
    return mark === undefined || this.#session === null ? encodeSseEvent(bytes) : encodeMarkedEvent(bytes, this.#session.sealed(mark));
  }

  #endStream(last: Buffer, mark?: StreamMark): void {
    this.#openStream();
    this.#context.exchange.write(this.#event(last, mark));
    // The write may have been one too many for a client that does not read: then it is gone, and the request settled.
    if (this.#context.isSettled) return;
    this.#context.exchange.end();
    settle(this.#parts, this.#context);
  }
}
