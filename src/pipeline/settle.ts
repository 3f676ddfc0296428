import type { RequestContext } from '../core/context.ts';
import type { Exchange } from '../core/exchange.ts';
import { leavePlain } from '../core/limit.ts';
import { newContext } from './context.ts';
import type { Parts } from './parts.ts';

/** HTTP status recorded for a client that left before it was answered (nginx's code). */
const CLIENT_GONE = 499;

/** Begins a request: its context exists, and whatever happens now, it is settled exactly once. */
export function begin(parts: Parts, exchange: Exchange): RequestContext {
  const context = newContext(exchange, parts.clock.nowMs());
  parts.load.active += 1;
  exchange.onGone = () => settleGone(parts, context);
  return context;
}

/**
 * The one exit of every request: gives back what it holds and reports it. A second call is a programmer error that is
 * reported and otherwise ignored, so that a miscounted request cannot end the worker.
 */
export function settle(parts: Parts, context: RequestContext): void {
  if (context.isSettled) {
    parts.events.internalError('settled_twice', new Error(context.requestId));
    return;
  }
  context.isSettled = true;
  if (context.isStreaming) parts.load.streams -= 1;
  if (context.isInFlight && !leavePlain(context.placeNote)) parts.inFlight.leave(context.budgetKey, context.placeNote);
  parts.events.settled(context);
  parts.load.active -= 1;
  if (parts.load.active === 0) parts.load.onIdle?.();
}

/** The client left first. Legacy revisions: that is no cancellation, so what runs upstream goes on (2025-11-25, transports). */
export function settleGone(parts: Parts, context: RequestContext): void {
  if (context.isSettled) return;
  context.status = CLIENT_GONE;
  settle(parts, context);
}

/**
 * Takes over the request's in-flight place: work that goes on upstream without its client still counts, or leaving and
 * asking again would get around the limit. Whoever gets the result calls it once, when that work is over.
 */
export function passPlace(parts: Parts, context: RequestContext): () => void {
  const { budgetKey, placeNote, isInFlight, isSettled } = context;
  if (!isInFlight || isSettled) return nothing;
  context.isInFlight = false;
  return () => parts.inFlight.leave(budgetKey, placeNote);
}

function nothing(): void {}
