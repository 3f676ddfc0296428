import { MAX_NEWS_URI_CHARS, MAX_NEWS_URIS, type NewsInterest, type ServerChange } from '../core/server-news.ts';
import type { Envelope } from '../core/envelope.ts';
import type { ListKind } from '../core/upstream.ts';
import { changedList } from './list-request.ts';

/** Larger acknowledgements are not read: their subscriptions are served by their own server only. */
const MAX_READ_BYTES = 256 * 1024;
const MEMBERS: readonly (readonly [string, ListKind])[] = [
  ['toolsListChanged', 'tools'],
  ['resourcesListChanged', 'resources'],
  ['promptsListChanged', 'prompts'],
];
const NOTHING: NewsInterest = { lists: [], uris: [] };

export const ACKNOWLEDGED: string = 'notifications/subscriptions/acknowledged';
const UPDATED = 'notifications/resources/updated';
const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId';

/** What a server has agreed to tell (2026-07-28, subscriptions: the first message of a subscription). The message has been scanned. */
export function readAcknowledged(bytes: Buffer): NewsInterest {
  const params = bytes.length > MAX_READ_BYTES ? null : (JSON.parse(bytes.toString()) as { params?: { notifications?: unknown } }).params;
  return interestOf(params?.notifications);
}

/** What a `subscriptions/listen` asks for; more than is read of an acknowledgement asks for nothing. */
export function readListenFilter({ bytes, paramsStart, paramsEnd }: Envelope): NewsInterest {
  if (paramsStart < 0 || paramsEnd - paramsStart > MAX_READ_BYTES) return NOTHING;
  return interestOf((JSON.parse(bytes.toString('utf8', paramsStart, paramsEnd)) as { notifications?: unknown }).notifications);
}

/** The first message of a subscription: what the client will be told. `idToken` is raw JSON. */
export function acknowledgementOf(interest: NewsInterest, idToken: string): Buffer {
  const meta = `"_meta":{"${SUBSCRIPTION}":${idToken}}`;
  return Buffer.from(`{"jsonrpc":"2.0","method":"${ACKNOWLEDGED}","params":{${filterFor(interest)},${meta}}}`);
}

/** The result that ends a subscription in order. */
export function listenResult(idToken: string, serverInfo: string): string {
  return `{"resultType":"complete","_meta":{"${SUBSCRIPTION}":${idToken},"io.modelcontextprotocol/serverInfo":${serverInfo}}}`;
}

function interestOf(filter: unknown): NewsInterest {
  if (typeof filter !== 'object' || filter === null) return NOTHING;
  const members = filter as Readonly<Record<string, unknown>>;
  const named = members['resourceSubscriptions'];
  const all = (Array.isArray(named) ? (named as unknown[]) : []).filter((uri) => typeof uri === 'string');
  const uris = all.filter((uri) => uri.length <= MAX_NEWS_URI_CHARS).slice(0, MAX_NEWS_URIS);
  return {
    lists: MEMBERS.flatMap(([member, kind]) => (members[member] === true ? [kind] : [])),
    uris,
    ...(all.length > uris.length && { beyond: all.length - uris.length }),
  };
}

/** The filter that asks for this, as a member of `params`. */
export function filterFor({ lists, uris }: NewsInterest): string {
  const asked = MEMBERS.flatMap(([member, kind]) => (lists.includes(kind) ? [`"${member}":true`] : []));
  if (uris.length > 0) asked.push(`"resourceSubscriptions":${JSON.stringify(uris)}`);
  return `"notifications":{${asked.join(',')}}`;
}

/** The acknowledgement of a subscription that is known by `idToken` (raw JSON). */
export function acknowledgement(agreed: NewsInterest, idToken: string): Buffer {
  const meta = `"_meta":{"io.modelcontextprotocol/subscriptionId":${idToken}}`;
  return Buffer.from(`{"jsonrpc":"2.0","method":"${ACKNOWLEDGED}","params":{${filterFor(agreed)},${meta}}}`);
}

/** What a notification says has changed; null for any other. */
export function changeOf(method: string, bytes: Buffer): ServerChange | null {
  const list = changedList(method);
  if (list !== null) return { list };
  if (method !== UPDATED || bytes.length > MAX_READ_BYTES) return null;
  const uri = (JSON.parse(bytes.toString()) as { params?: { uri?: unknown } }).params?.uri;
  return typeof uri === 'string' ? { uri } : null;
}

/** A change as the client knows it that subscribed with `idToken` (raw JSON). */
export function changeFor(change: ServerChange, idToken: string): Buffer {
  const meta = `"_meta":{"io.modelcontextprotocol/subscriptionId":${idToken}}`;
  const method = 'list' in change ? `notifications/${change.list}/list_changed` : UPDATED;
  const params = 'list' in change ? meta : `"uri":${JSON.stringify(change.uri)},${meta}`;
  return Buffer.from(`{"jsonrpc":"2.0","method":"${method}","params":{${params}}}`);
}

/** A change in the words of the revisions with sessions. */
export function legacyChange(change: ServerChange): Buffer {
  const [method, params] =
    'list' in change ? [`notifications/${change.list}/list_changed`, ''] : [UPDATED, `,"params":{"uri":${JSON.stringify(change.uri)}}`];
  return Buffer.from(`{"jsonrpc":"2.0","method":"${method}"${params}}`);
}

/** The first message of a subscription, for the client that subscribed with `idToken` (raw JSON). */
export function acknowledgedFor(interest: NewsInterest, idToken: string): Buffer {
  const params = `${filterFor(interest)},"_meta":{"io.modelcontextprotocol/subscriptionId":${idToken}}`;
  return Buffer.from(`{"jsonrpc":"2.0","method":"${ACKNOWLEDGED}","params":{${params}}}`);
}

/** Resources that `joined` has no room for. */
export function unheard(interests: readonly NewsInterest[]): number {
  const beyond = interests.reduce((sum, one) => sum + (one.beyond ?? 0), 0);
  return beyond + Math.max(new Set(interests.flatMap(({ uris }) => uris)).size - MAX_NEWS_URIS, 0);
}

/** All of it together, no more than a worker tells of. */
export function joined(interests: readonly NewsInterest[]): NewsInterest {
  return {
    lists: [...new Set(interests.flatMap(({ lists }) => lists))].toSorted(),
    uris: [...new Set(interests.flatMap(({ uris }) => uris))].toSorted().slice(0, MAX_NEWS_URIS),
  };
}
