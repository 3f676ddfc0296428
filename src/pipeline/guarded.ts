import type { RequestContext } from '../core/context.ts';
import { BAD_FRAMING, INTERNAL } from '../core/errors.ts';
import type { Parts } from './parts.ts';
import { refuse } from './reply.ts';

/** Runs a part of a request; what it throws is a fault of ours, answered 500 and reported. */
export function guarded(parts: Parts, context: RequestContext, step: () => void): void {
  try {
    step();
  } catch (error) {
    failed(parts, context, error);
  }
}

function failed(parts: Parts, context: RequestContext, error: unknown): void {
  parts.events.internalError('request', error);
  refuse(parts, context, INTERNAL);
}

/** Collects the body and goes on with it, guarded; a body that does not arrive ends the request. */
export function readBody(parts: Parts, context: RequestContext, next: (body: Buffer) => void): void {
  context.exchange.readBody(parts.settings.maxRequestBytes, (body, lost) => {
    if (context.isSettled) return;
    if (body === null) return refuse(parts, context, lost ?? BAD_FRAMING);
    // As `guarded`, without a function for each body.
    try {
      next(body);
    } catch (error) {
      failed(parts, context, error);
    }
  });
}
