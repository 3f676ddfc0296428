import type { Access } from './access.ts';
import type { Envelope } from './envelope.ts';
import type { Refusal } from './refusal.ts';
import type { Upstream } from './upstream.ts';

/** What of its members a virtual server offers. Pure; never throws. */
export interface Selection {
  tool(member: string, tool: string): boolean;
  prompt(member: string, prompt: string): boolean;
  /** A URI, or a URI template as it stands. */
  resource(uri: string): boolean;
}

/** A message that concerns one member of a virtual server, as that member is to get it: with its own names. */
export interface Aim {
  readonly upstream: Upstream;
  readonly message: Envelope;
}

/**
 * One endpoint for several servers, its members. Tools and prompts carry the name of their member in front; resources keep their
 * URIs. It has no connection of its own: what is not about one member's tool or prompt it asks of several members.
 */
export interface VirtualServer extends Upstream {
  /** Whether the caller may reach any member. */
  isReachable(access: Access): boolean;
  /** What the members that the caller may reach say of themselves; `info` is null before any of them was reached,
   * `modern` unless all of them speak revision 2026-07-28, of themselves or by the bridge. */
  viewFor(access: Access): Pick<Upstream, 'info' | 'modern' | 'detail'>;
  /** The member of this name; null for none. */
  member(name: string): Upstream | null;
  /**
   * Which member a message is for, renamed for it: nothing is decided or sent but what this returns. Null: it is for the virtual
   * server itself. A refusal: no chosen tool, prompt or resource has that name, or nobody was given that cursor.
   */
  aim(message: Envelope, access: Access): Aim | Refusal | null;
}
