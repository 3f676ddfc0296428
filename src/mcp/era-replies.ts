import { KeyNames } from './key-names.ts';
import { withMembers, withoutMembers } from './members.ts';
import { resultMembers } from './result-members.ts';
import { scanUpstreamMessage } from './upstream-message.ts';

const MAX_DEPTH = 512;
/** Of `{}`. */
const EMPTY_BYTES = 2;
/** Methods whose results say how long they may be kept (2026-07-28, caching). */
const CACHEABLE: ReadonlySet<string> = new Set([
  'tools/list',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'prompts/list',
]);
const TYPE = new KeyNames(['resultType']);
const ADDED = new KeyNames(['resultType', 'ttlMs', 'cacheScope']);
const META = new KeyNames(['_meta']);
const SERVER_INFO = new KeyNames(['io.modelcontextprotocol/serverInfo']);
/** −32002, resource not found, has another code since. */
const NOT_FOUND = -32002;
const INVALID_PARAMS = -32602;

/**
 * A response of revision 2026-07-28 as one of an older revision: without what it added. Null when it is no complete result: it asks for
 * input, or is a task.
 */
export function asLegacyReply(reply: Buffer): Buffer | null {
  const [start = -1, end = -1] = resultMembers(reply, TYPE, 1) ?? [];
  if (start >= 0 && reply.toString('utf8', start, end) !== '"complete"') return null;
  const meta = metaOf(reply);
  const named = meta === null ? null : withoutMembers(meta, SERVER_INFO);
  return withResult(reply, (result) => {
    const rest = withoutMembers(result, ADDED);
    if (named === null) return rest;
    return named.length <= EMPTY_BYTES
      ? withoutMembers(rest, META)
      : withMembers(withoutMembers(rest, META), `"_meta":${named.toString('utf8')}`);
  });
}

/** The `_meta` object of a result; null without one. */
function metaOf(reply: Buffer): Buffer | null {
  const [start = -1, end = -1] = resultMembers(reply, META, 1) ?? [];
  return start >= 0 && reply[start] === 0x7b ? reply.subarray(start, end) : null;
}

/** A response of an older revision as one of 2026-07-28: complete, not to be kept, and from `serverInfo` (a JSON object). */
export function asModernReply(reply: Buffer, method: string, serverInfo: string): Buffer | null {
  const hints = CACHEABLE.has(method) ? ',"ttlMs":0,"cacheScope":"private"' : '';
  const named = withMembers(
    withoutMembers(metaOf(reply) ?? Buffer.from('{}'), SERVER_INFO),
    `"io.modelcontextprotocol/serverInfo":${serverInfo}`,
  );
  return withResult(reply, (result) => {
    const rest = withoutMembers(withoutMembers(result, ADDED), META);
    return withMembers(rest, `"resultType":"complete"${hints},"_meta":${named.toString('utf8')}`);
  });
}

/** An error of an older revision as one of 2026-07-28, with its code. */
export function asModernError(reply: Buffer, code: number): { readonly bytes: Buffer; readonly code: number } {
  if (code !== NOT_FOUND) return { bytes: reply, code };
  const message = JSON.parse(reply.toString('utf8')) as { readonly error: object };
  return { bytes: Buffer.from(JSON.stringify({ ...message, error: { ...message.error, code: INVALID_PARAMS } })), code: INVALID_PARAMS };
}

/** Null when the message is no response with a result that is an object. */
function withResult(reply: Buffer, change: (result: Buffer) => Buffer): Buffer | null {
  const message = scanUpstreamMessage(reply, { maxDepth: MAX_DEPTH });
  if (message === null || message.resultStart < 0 || reply[message.resultStart] !== 0x7b) return null;
  const { resultStart, resultEnd } = message;
  return Buffer.concat([reply.subarray(0, resultStart), change(reply.subarray(resultStart, resultEnd)), reply.subarray(resultEnd)]);
}
