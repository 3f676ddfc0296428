import { KeyNames } from '../mcp/key-names.ts';
import { resultMembers } from '../mcp/result-members.ts';
import { type Edit, splice } from '../mcp/splice.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';
import type { ListReply } from './list-pages.ts';

const HINTS = new KeyNames(['ttlMs']);
const SOUND_TTL = /^(?:0|[1-9]\d{0,14})$/;

/** Reads an answer to a request for a list; null when it is no response. Without the hints of revision 2026-07-28 it holds for ever. */
export function readListReply(bytes: Buffer, isModern: boolean): ListReply | null {
  const message = scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH });
  if (message === null || message.idStart < 0) return null;
  const { idStart, idEnd } = message;
  if (!isModern) return { bytes, idStart, idEnd, ttlMs: Infinity, ttlStart: -1, ttlEnd: -1 };
  const [ttlStart = -1, ttlEnd = -1] = resultMembers(bytes, HINTS, 1) ?? [];
  // Without a sound hint nothing says that it holds at all.
  const text = ttlStart < 0 ? '' : bytes.toString('latin1', ttlStart, ttlEnd);
  return { bytes, idStart, idEnd, ttlMs: SOUND_TTL.test(text) ? Number(text) : 0, ttlStart, ttlEnd };
}

/** The same for one client: with its id, and the time for which it still holds. */
export function replyFor({ bytes, idStart, idEnd, ttlStart, ttlEnd }: ListReply, idToken: string, leftMs: number): Buffer {
  const edits: Edit[] = [{ start: idStart, end: idEnd, text: idToken }];
  if (ttlStart >= 0) edits.push({ start: ttlStart, end: ttlEnd, text: String(Math.max(0, Math.floor(leftMs))) });
  return splice(
    bytes,
    edits.sort((one, other) => one.start - other.start),
  );
}
