/** What becomes of a request: two are answered by the gateway itself, `unknown` ones refused in band (METHOD_UNKNOWN). */
export type MethodRole = 'initialize' | 'ping' | 'relayed' | 'unknown';

/** Relayed requests and the upstream capability (of `initialize`) that each needs. */
const RELAYED: ReadonlyMap<string, string> = new Map([
  ['tools/list', 'tools'],
  ['tools/call', 'tools'],
  ['resources/list', 'resources'],
  ['resources/read', 'resources'],
  ['resources/templates/list', 'resources'],
  ['prompts/list', 'prompts'],
  ['prompts/get', 'prompts'],
  ['completion/complete', 'completions'],
]);

/** Capabilities whose requests are relayed, in the order of the table. */
export const RELAYED_CAPABILITIES: readonly string[] = [...new Set(RELAYED.values())];

/** Requests that only a session of the client's own can carry: what they set belongs to one client. */
const IN_SESSION: ReadonlySet<string> = new Set(['logging/setLevel', 'resources/subscribe', 'resources/unsubscribe']);

/** Capabilities of a server that a session relays with all their options. */
export const SESSION_CAPABILITIES: readonly string[] = [...RELAYED_CAPABILITIES, 'logging'];

/** Defined by a revision with `initialize` (2024-11-05 … 2025-11-25), in either direction, and not relayed. */
const OTHER_REQUESTS: readonly string[] = [
  'resources/subscribe',
  'resources/unsubscribe',
  'logging/setLevel',
  'sampling/createMessage',
  'elicitation/create',
  'roots/list',
  'tasks/get',
  'tasks/list',
  'tasks/result',
  'tasks/cancel',
  'tasks/update',
];

const NOTIFICATIONS: readonly string[] = [
  'notifications/initialized',
  'notifications/cancelled',
  'notifications/progress',
  'notifications/message',
  'notifications/roots/list_changed',
  'notifications/resources/list_changed',
  'notifications/resources/updated',
  'notifications/tools/list_changed',
  'notifications/prompts/list_changed',
  'notifications/elicitation/complete',
  'notifications/tasks/status',
];

/** About the client's own handshake, roots and answers, which upstreams know only from the gateway. */
const SWALLOWED: ReadonlySet<string> = new Set(['notifications/initialized', 'notifications/roots/list_changed', 'notifications/progress']);

const LABELS: ReadonlySet<string> = new Set(['initialize', 'ping', ...RELAYED.keys(), ...OTHER_REQUESTS, ...NOTIFICATIONS]);

/** The method when the protocol knows it, else `other`: clients cannot invent metric labels. */
export function methodLabel(method: string): string {
  return LABELS.has(method) ? method : 'other';
}

/**
 * Whether a client's notification or response may reach its server twice: a response is matched by the id of a request that is over
 * then, and the protocol's own notifications say how things are. What those of vendors do nobody knows.
 */
export function mayRepeat({ kind, method }: { readonly kind: string; readonly method: string }): boolean {
  return kind === 'response' || (kind === 'notification' && methodLabel(method) !== 'other');
}

/** What becomes of a request with this method; a session of the client's own carries more than what clients share. */
export function roleOf(method: string, isInSession = false): MethodRole {
  if (method === 'initialize' || method === 'ping') return method;
  return RELAYED.has(method) || (isInSession && IN_SESSION.has(method)) ? 'relayed' : 'unknown';
}

/** The capability an upstream must have declared to get this request; null when the method is not relayed. */
export function neededCapability(method: string): string | null {
  return RELAYED.get(method) ?? null;
}

/**
 * Whether a client's notification goes to the upstream (its method starts with `notifications/`, `parseMessage` saw to
 * that). Unknown ones do (`docs/decisions/0008-unknown-notifications.md`), and `notifications/cancelled`, translated on
 * the way. The others are accepted and end here.
 */
export function isRelayedNotification(method: string): boolean {
  return !SWALLOWED.has(method);
}
