import type { Envelope } from '../core/envelope.ts';
import { wholeText } from '../core/whole-text.ts';
import type { UpstreamMessage } from '../mcp/upstream-message.ts';
import { splice } from '../mcp/splice.ts';
import type { PendingEntry, PendingTable } from './pending.ts';

/** Notifications of an upstream that belong to one request and are relayed; the others concern nobody in particular. */
export const PROGRESS: string = 'notifications/progress';
export const LOG_MESSAGE: string = 'notifications/message';

export const CANCELLED: string = 'notifications/cancelled';

/** The client's request as it goes upstream: the checked bytes with the internal id in place of its id and progress token, without `task`. */
export function toUpstream(message: Envelope, entry: PendingEntry): Buffer {
  const text = wholeText(entry.id);
  const edits = [{ start: message.idStart, end: message.idEnd, text }];
  if (message.tokenStart >= 0) edits.push({ start: message.tokenStart, end: message.tokenEnd, text });
  if (message.taskStart >= 0) edits.push({ start: message.taskStart, end: message.taskEnd, text: '' });
  return splice(
    message.bytes,
    edits.sort((one, other) => one.start - other.start),
  );
}

/** The request that `notifications/cancelled` names; null when the principal has none of that id, and for other messages. */
export function cancelledBy(message: Envelope, principalKey: string, pending: PendingTable): PendingEntry | null {
  if (message.method !== CANCELLED || message.requestIdStart < 0) return null;
  return pending.findByClientId(principalKey, message.bytes.toString('utf8', message.requestIdStart, message.requestIdEnd));
}

/** Revision 2026-07-28 is told of a cancellation by whatever carries the request. Null, as `Upstream.notify`. */
export function cancelNamed(message: Envelope, principalKey: string, pending: PendingTable): null {
  const cancelled = cancelledBy(message, principalKey, pending);
  if (cancelled !== null) pending.cancel(cancelled);
  return null;
}

/**
 * A notification as it goes upstream, null for one that does not. A cancellation gets the internal id of the request that
 * it is about. A progress token in another notification would name a request of the client: those are dropped too.
 */
export function notificationToUpstream(message: Envelope, cancelled: PendingEntry | null): Buffer | null {
  if (message.method !== CANCELLED) return message.tokenStart >= 0 ? null : message.bytes;
  const { bytes, requestIdStart: start, requestIdEnd: end } = message;
  return cancelled === null ? null : splice(bytes, [{ start, end, text: String(cancelled.id) }]);
}

/** The upstream's answer with the client's id. */
export function replyToClient(bytes: Buffer, message: UpstreamMessage, entry: PendingEntry): Buffer {
  return splice(bytes, [{ start: message.idStart, end: message.idEnd, text: entry.idToken }]);
}

/** The upstream's progress notification with the client's token; null when the client gave none. */
export function progressToClient(bytes: Buffer, message: UpstreamMessage, entry: PendingEntry): Buffer | null {
  if (entry.progressToken === null) return null;
  return splice(bytes, [{ start: message.tokenStart, end: message.tokenEnd, text: entry.progressToken }]);
}

/** The internal id in `bytes[start, end)`; −1 for anything that the gateway would not have written itself. */
export function internalId(bytes: Buffer, start: number, end: number): number {
  if (start < 0 || end - start > 15) return -1;
  let id = 0;
  for (let at = start; at < end; at += 1) {
    const digit = (bytes[at] ?? 0) - 48;
    if (digit < 0 || digit > 9 || (digit === 0 && at === start)) return -1;
    id = id * 10 + digit;
  }
  return id === 0 ? -1 : id;
}
