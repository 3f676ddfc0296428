import type { Timer } from '../core/clock.ts';
import type { RequestContext } from '../core/context.ts';
import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_INVALID } from '../core/errors.ts';
import type { Principal } from '../core/principal.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InFlight, ReplySink } from '../core/upstream.ts';
import { withPrivateScope } from '../mcp/cache-scope.ts';
import { acceptsOf } from '../mcp/content.ts';
import { filterTools } from '../mcp/lists.ts';
import { LISTEN } from '../mcp/modern-methods.ts';
import { rpcResult } from '../mcp/messages.ts';
import { encodeSseEvent } from '../mcp/sse.ts';
import { looksLikeToolError } from '../mcp/tool-result.ts';
import { whenExpired } from './expiry.ts';
import type { Parts } from './parts.ts';
import type { TaskView } from './task-view.ts';
import { answer, headersOf, JSON_TYPE, markRefused, refusalBody, refuse, SSE_TYPE } from './reply.ts';
import { passPlace, settle, settleGone } from './settle.ts';

/** What lies between gives silent streams up after half a minute. */
const HEARTBEAT_MS = 15_000;
const HEARTBEAT = ':\n\n';

/** Errors of revision 2026-07-28 whose HTTP status says what they are; all others are in band. */
const STATUS: ReadonlyMap<number, number> = new Map([
  [-32601, 404],
  [-32020, 400],
  [-32021, 400],
  [-32022, 400],
]);

/** The end of a subscription, which it names (2026-07-28, subscriptions). */
function listenResult(idToken: string): string {
  return rpcResult(idToken, `{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":${idToken}}}`);
}

/**
 * Carries the answer to a request of revision 2026-07-28: JSON with the status that its error code has, or an event stream once
 * the upstream streams. A client that closes its stream cancels. Ends in exactly one settle.
 */
export class ModernRelay implements ReplySink {
  readonly #parts: Parts;
  readonly #context: RequestContext;
  readonly #who: Principal;
  readonly #method: string;
  /** A merged list was made for this caller. */
  readonly #isMerged: boolean;
  /** Null: no part of the answer can be about a task. */
  readonly #tasks: TaskView | null;
  readonly #acceptsJson: boolean;
  readonly #acceptsSse: boolean;
  #heartbeat: Timer | null = null;
  #unlisten: (() => void) | null = null;

  constructor(parts: Parts, context: RequestContext, who: Principal, message: Envelope, isMerged: boolean, tasks: TaskView | null) {
    const accepts = acceptsOf(context.exchange.head.accept);
    this.#parts = parts;
    this.#context = context;
    this.#who = who;
    this.#method = message.method;
    this.#isMerged = isMerged;
    this.#tasks = tasks;
    this.#acceptsJson = accepts.json;
    this.#acceptsSse = accepts.sse;
  }

  attach(flight: InFlight): void {
    const { exchange } = this.#context;
    exchange.onDrain = () => flight.resume();
    if (this.#method === LISTEN) this.#stand(flight);
    exchange.onGone = () => {
      this.#leave();
      this.#context.detail = 'cancelled';
      flight.detach(passPlace(this.#parts, this.#context));
      settleGone(this.#parts, this.#context);
    };
  }

  /** A subscription is ended in order when the gateway drains, or its caller's credential expires; its client may open another. */
  #stand(flight: InFlight): void {
    const { standing } = this.#parts.load;
    const end = (): void => {
      if (this.#context.isSettled) return;
      flight.detach(() => undefined);
      this.#endStream(Buffer.from(listenResult(this.#context.idToken)));
    };
    standing.add(end);
    const expiry = whenExpired(this.#parts.clock, this.#who.notAfterMs, end);
    this.#unlisten = () => {
      standing.delete(end);
      expiry?.cancel();
    };
  }

  /** Nothing of it is left to be told. */
  #leave(): void {
    this.#heartbeat?.cancel();
    this.#unlisten?.();
  }

  /** The head leaves at once: who listens must not wait for the first event. */
  onStream(): void {
    if (!this.#acceptsSse || this.#context.isStreaming || this.#context.isSettled) return;
    this.#openStream();
    this.#context.exchange.write(HEARTBEAT);
  }

  onMessage(bytes: Buffer): boolean {
    if (!this.#acceptsSse || this.#context.isSettled) return true;
    this.#openStream();
    return this.#context.exchange.write(encodeSseEvent(bytes));
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    if (this.#context.isSettled) return;
    if (isError) this.#context.upstreamErrorCode = code;
    else if (this.#method === 'tools/call') this.#context.isToolError = looksLikeToolError(bytes);
    const allowed = isError ? bytes : this.#tasks === null ? this.#filtered(bytes) : this.#tasks.reply(bytes);
    if (allowed === null) return this.onFail(UPSTREAM_INVALID, 'malformed tools/list result, or an id of a task that cannot be');
    if (this.#context.isStreaming || !this.#acceptsJson) return this.#endStream(allowed);
    this.#leave();
    answer(this.#parts, this.#context, isError ? (STATUS.get(code) ?? 200) : 200, JSON_TYPE, allowed);
  }

  onFail(refusal: Refusal, detail: string): void {
    if (this.#context.isSettled) return;
    this.#context.detail = detail;
    this.#leave();
    if (!this.#context.isStreaming) return refuse(this.#parts, this.#context, refusal);
    markRefused(this.#context, refusal);
    this.#endStream(Buffer.from(refusalBody(this.#context, refusal)));
  }

  /** No message of this revision cancels another: the stream just ends. */
  onCancelled(): void {
    if (this.#context.isSettled) return;
    this.#context.detail = 'cancelled';
    this.#openStream();
    this.#leave();
    this.#context.exchange.end();
    settleGone(this.#parts, this.#context);
  }

  /** Whose list depends on who asks must not be shared, whether or not something is missing in it. */
  #filtered(bytes: Buffer): Buffer | null {
    if (this.#method !== 'tools/list' || this.#isMerged) return bytes;
    const { access } = this.#who;
    const { server } = this.#context;
    if (access.allowsAllTools(server)) return bytes;
    const kept = filterTools(bytes, (tool) => access.tool(server, tool).isAllowed);
    return kept === null ? null : withPrivateScope(kept);
  }

  #openStream(): void {
    if (this.#context.isStreaming || this.#context.isSettled) return;
    this.#context.isStreaming = true;
    this.#parts.load.streams += 1;
    const headers = headersOf(this.#parts, this.#context, SSE_TYPE);
    headers.push('x-accel-buffering', 'no');
    this.#context.status = 200;
    this.#context.exchange.open(200, headers, this.#context);
    this.#heartbeat = this.#parts.clock.every(HEARTBEAT_MS, () => void this.#context.exchange.write(HEARTBEAT));
  }

  #endStream(last: Buffer): void {
    this.#openStream();
    this.#leave();
    this.#context.exchange.write(encodeSseEvent(last));
    if (this.#context.isSettled) return;
    this.#context.exchange.end();
    settle(this.#parts, this.#context);
  }
}
