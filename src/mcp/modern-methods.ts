import type { Envelope } from '../core/envelope.ts';

/** Which field of `params` the header `Mcp-Name` repeats (2026-07-28, Transports, standard request headers). */
export type NameSource = 'name' | 'uri' | 'taskId';

/** Requests of revision 2026-07-28 that are relayed. */
const METHODS: ReadonlySet<string> = new Set([
  'server/discover',
  'tools/list',
  'tools/call',
  'resources/list',
  'resources/read',
  'resources/templates/list',
  'prompts/list',
  'prompts/get',
  'completion/complete',
  'subscriptions/listen',
  // Of the tasks extension.
  'tasks/get',
  'tasks/update',
  'tasks/cancel',
]);

const NAME_SOURCES: ReadonlyMap<string, NameSource> = new Map([
  ['tools/call', 'name'],
  ['prompts/get', 'name'],
  ['resources/read', 'uri'],
  ['tasks/get', 'taskId'],
  ['tasks/update', 'taskId'],
  ['tasks/cancel', 'taskId'],
]);

export const DISCOVER: string = 'server/discover';
export const LISTEN: string = 'subscriptions/listen';

/** Whether revision 2026-07-28 defines the request and the gateway relays it: `initialize` and `ping` are not among them. */
export function isModernMethod(method: string): boolean {
  return METHODS.has(method);
}

/** What MCP's method names are made of. A header repeats the name, so that no other character may reach it, and no endless name either. */
const METHOD_NAME = /^[A-Za-z0-9/_.$-]{1,128}$/;

/** Whether `Mcp-Method` can repeat it as it is (2026-07-28, Transports, standard request headers). */
export function fitsHeader(method: string): boolean {
  return METHOD_NAME.test(method);
}

/** What `Mcp-Name` repeats for this method; undefined for methods without that header. */
export function nameSource(method: string): NameSource | undefined {
  return NAME_SOURCES.get(method);
}

/** What a request is about, by its method: another parameter of that name is the caller's own. */
export function subjectOf(message: Envelope): string {
  const source = nameSource(message.method);
  return source === undefined ? '' : (message[source] ?? '');
}
