/** What the gateway does with a request's method. */
export type MethodFate = 'relay' | 'answer' | 'unknown';

/** What the gateway does with a client's notification. */
export type NotificationFate = 'swallow' | 'cancel' | 'relay';

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

/** Answered by the gateway itself. */
const ANSWERED: ReadonlySet<string> = new Set(['initialize', 'ping']);

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
const SWALLOWED: ReadonlySet<string> = new Set([
  'notifications/initialized',
  'notifications/roots/list_changed',
  'notifications/progress',
]);

const LABELS: ReadonlySet<string> = new Set([...RELAYED.keys(), ...ANSWERED, ...OTHER_REQUESTS, ...NOTIFICATIONS]);

/** The method when the protocol knows it, else `other`: clients cannot invent metric labels. */
export function methodLabel(method: string): string {
  return LABELS.has(method) ? method : 'other';
}

/** What becomes of a request. `unknown`: METHOD_UNKNOWN, in band. */
export function methodFate(method: string): MethodFate {
  if (RELAYED.has(method)) return 'relay';
  return ANSWERED.has(method) ? 'answer' : 'unknown';
}

/** The capability an upstream must have declared to get this request; null when the method is not relayed. */
export function neededCapability(method: string): string | null {
  return RELAYED.get(method) ?? null;
}

/** What becomes of a notification (its method starts with `notifications/`, `parseMessage` saw to that). */
export function notificationFate(method: string): NotificationFate {
  if (SWALLOWED.has(method)) return 'swallow';
  return method === 'notifications/cancelled' ? 'cancel' : 'relay';
}
