import type { FileHandle } from 'node:fs/promises';
import type { Log } from '../core/log.ts';

const TAIL_BYTES = 128 * 1024;
const NEWLINE = 10;
/** How each of our lines begins. */
const LINE_START = '{"timestamp":"';

/**
 * Makes a file end with a whole line before more are appended: what a killed process or a full disk cut off. A piece of one
 * of our own lines is removed, so that every line parses; anything else is not ours to remove and gets a newline.
 * @returns the size afterwards
 */
export async function mendEnd(handle: FileHandle, size: number, log: Log): Promise<number> {
  if (size === 0) return 0;
  const from = Math.max(size - TAIL_BYTES, 0);
  const tail = Buffer.alloc(size - from);
  const { bytesRead } = await handle.read(tail, 0, tail.length, from);
  if (bytesRead === 0 || tail[bytesRead - 1] === NEWLINE) return size;
  const lineAt = from + tail.lastIndexOf(NEWLINE, bytesRead - 1) + 1;
  const isOurs = (lineAt > 0 || from === 0) && isLineStart(tail.toString('latin1', lineAt - from, bytesRead));
  if (!isOurs) {
    const { bytesWritten } = await handle.write('\n');
    return size + bytesWritten;
  }
  await handle.truncate(lineAt);
  log.warn({ removedBytes: size - lineAt }, 'the audit file ended in an unfinished line, which was removed');
  return lineAt;
}

function isLineStart(text: string): boolean {
  return text.startsWith(LINE_START) || LINE_START.startsWith(text);
}

/** Time of the first line, from its `timestamp`: survives copies and restarts, unlike what file systems know. Null when unreadable. */
export async function readStartMs(handle: FileHandle): Promise<number | null> {
  const head = Buffer.alloc(64);
  const { bytesRead } = await handle.read(head, 0, head.length, 0);
  const text = head.toString('latin1', 0, bytesRead);
  if (!text.startsWith(LINE_START)) return null;
  const atMs = Date.parse(text.slice(LINE_START.length, text.indexOf('"', LINE_START.length)));
  return Number.isNaN(atMs) ? null : atMs;
}
