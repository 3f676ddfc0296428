import type { RequestContext } from '../core/context.ts';
import * as errors from '../core/errors.ts';
import type { Principal } from '../core/principal.ts';
import { isRefusal } from '../core/refusal.ts';
import { withCharges } from './budget.ts';
import { identify } from './identify.ts';
import type { Parts } from './parts.ts';
import { refuse } from './reply.ts';

/**
 * Lets a caller in who opens a connection for many messages, as `handle.ts` lets in a request without a body: what its address
 * may, who it is, what it may, and whether the server at `path` is there and may be reached. `next` is called when all of it passed.
 * What it was is known then: the context names caller and server.
 */
export function admitConnection(parts: Parts, context: RequestContext, path: string, next: (who: Principal) => void): void {
  if (parts.load.isClosing) return refuse(parts, context, errors.DRAINING);
  const { head } = context.exchange;
  withCharges(parts, context, parts.charges.ofAddress(head.clientIp), context.startMs, (flooded, nowMs) => {
    if (flooded !== null) return refuse(parts, context, flooded);
    const who = identify(parts, context);
    if (isRefusal(who)) return refuse(parts, context, who);
    const budget = parts.charges.budgetOf(who, head.clientIp);
    context.budgetKey = budget.key;
    context.placeNote = budget;
    withCharges(parts, context, budget.own, nowMs, (limited) => {
      if (limited !== null) return refuse(parts, context, limited);
      const route = parts.routes.match(path);
      if (route === null) return refuse(parts, context, errors.NOT_FOUND);
      context.server = route.upstream.name;
      context.transport = route.upstream.transport;
      const isReachable = route.virtual?.isReachable(who.access) ?? who.access.mayReach(context.server);
      if (!isReachable) return refuse(parts, context, errors.SERVER_DENIED);
      next(who);
    });
  });
}
