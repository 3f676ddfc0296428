import type { Envelope } from '../core/envelope.ts';
import type { ClientHello } from '../core/upstream-session.ts';
import { LATEST_LEGACY_REVISION, negotiate } from './revisions.ts';

/** What of a client's capabilities the gateway relays; tasks, extensions and experiments it does not. */
const CLIENT_CAPABILITIES: readonly string[] = ['roots', 'sampling', 'elicitation'];
/** Of a client that does not introduce itself, though it must. */
const NOBODY = '{"name":"unknown","version":"0"}';

/** Most that a client may say of itself: it is told to the server, and held until that has answered. */
const MAX_HELLO_CHARS = 8_192;

/** What a client's `initialize` says of the client; null when that is too long. The message has been checked (`parseMessage`). */
export function readHello(message: Envelope): ClientHello | null {
  const params: unknown = message.paramsStart < 0 ? {} : JSON.parse(message.bytes.toString('utf8', message.paramsStart, message.paramsEnd));
  const { capabilities, clientInfo } = params as { capabilities?: unknown; clientInfo?: unknown };
  const hello: ClientHello = {
    revision: negotiate(message.protocolVersion),
    capabilities: pickObjects(capabilities, CLIENT_CAPABILITIES),
    clientInfo: isObject(clientInfo) ? JSON.stringify(clientInfo) : NOBODY,
  };
  return hello.capabilities.length + hello.clientInfo.length > MAX_HELLO_CHARS ? null : hello;
}

/** The same of a request of revision 2026-07-28, which says of its client what it can do (per-request `_meta`), for a server of an older one. */
export function readModernHello({ bytes, modern }: Envelope): ClientHello | null {
  if (modern === null || modern.capabilitiesStart < 0) return null;
  const capabilities: unknown = JSON.parse(bytes.toString('utf8', modern.capabilitiesStart, modern.capabilitiesEnd));
  const info: unknown =
    modern.clientInfoStart < 0 ? null : JSON.parse(bytes.toString('utf8', modern.clientInfoStart, modern.clientInfoEnd));
  const hello: ClientHello = {
    revision: LATEST_LEGACY_REVISION,
    capabilities: pickObjects(capabilities, CLIENT_CAPABILITIES),
    clientInfo: isObject(info) ? JSON.stringify(info) : NOBODY,
  };
  return hello.capabilities.length + hello.clientInfo.length > MAX_HELLO_CHARS ? null : hello;
}

/** The named members of `value` that are objects, as a JSON object. */
export function pickObjects(value: unknown, names: readonly string[]): string {
  const members: Record<string, unknown> = isObject(value) ? { ...value } : {};
  return JSON.stringify(Object.fromEntries(names.flatMap((name) => (isObject(members[name]) ? [[name, members[name]]] : []))));
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
