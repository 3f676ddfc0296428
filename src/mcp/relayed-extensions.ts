import type { Envelope } from '../core/envelope.ts';
import { reread } from './era-requests.ts';

/** Extensions whose methods the gateway does not relay: a server that used them would be answered by nobody. */
const UNRELAYED: readonly string[] = ['io.modelcontextprotocol/tasks'];

/**
 * A request of revision 2026-07-28 that promises no extension which does not get through. The message itself where it promises
 * none, which is nearly always.
 */
export function withoutUnrelayed(message: Envelope): Envelope {
  const { bytes, modern } = message;
  if (modern === null || modern.capabilitiesStart < 0) return message;
  const capabilities = bytes.subarray(modern.capabilitiesStart, modern.capabilitiesEnd);
  if (!UNRELAYED.some((name) => capabilities.includes(name))) return message;
  const { extensions = {}, ...rest } = JSON.parse(capabilities.toString('utf8')) as { readonly extensions?: object };
  const kept = Object.fromEntries(Object.entries(extensions).filter(([name]) => !UNRELAYED.includes(name)));
  return (
    reread(bytes, modern.capabilitiesStart, modern.capabilitiesEnd, Buffer.from(JSON.stringify({ ...rest, extensions: kept }))) ?? message
  );
}
