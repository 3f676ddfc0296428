import type { RequestContext } from '../core/context.ts';
import type { Envelope } from '../core/envelope.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { Route } from '../core/upstream.ts';
import type { VirtualServer } from '../core/virtual.ts';
import type { NamedTask } from './tasks.ts';
import type { Access } from '../core/access.ts';

/** A message, and the server that gets it. */
export interface Addressed {
  readonly route: Route;
  readonly message: Envelope;
  /** The task that it is about, if it is about one. */
  readonly task?: NamedTask;
}

/**
 * Where a message to a virtual server goes: to itself, or renamed to the member whose tool or prompt it is about. From here on that member and
 * its own name are what is decided on, counted, recorded and sent, as if the client had asked the member directly.
 */
export function address(context: RequestContext, virtual: VirtualServer, access: Access, message: Envelope): Addressed | Refusal {
  // Who may reach none of its members learns nothing of what it offers.
  const aim = message.kind === 'request' && virtual.isReachable(access) ? virtual.aim(message, access) : null;
  if (aim === null) return { route: { upstream: virtual, virtual, restPath: '' }, message };
  if (isRefusal(aim)) return aim;
  context.server = aim.upstream.name;
  context.transport = aim.upstream.transport;
  if (message.method === 'tools/call') context.tool = aim.message.name ?? '';
  return { route: { upstream: aim.upstream, virtual: null, restPath: '' }, message: aim.message };
}

/** A message to a virtual server concerns one member of it, or the whole. `server`: what it was found to concern. */
export function mayReach(access: Access, { upstream, virtual }: Route, server: string): boolean {
  return virtual !== null && server === upstream.name ? virtual.isReachable(access) : access.mayReach(server);
}
