import { isRaw } from './mesh-values.ts';

/** A session that was used. */
export interface SessionTouch {
  readonly ref: string;
  /** Hash of whose it is. */
  readonly owner: string;
  /** How long ago, where that is known; else now. */
  readonly agoMs?: number;
}

/** What a worker tells the others of the sessions of clients, through the primary, and a host others. */
export interface SessionNews {
  /** Used since the last news. */
  readonly touched: readonly SessionTouch[];
  /** Over, and until when that must be remembered (wall clock): afterwards their age alone says so. */
  readonly ended: readonly { readonly ref: string; readonly untilMs: number }[];
  /** Requests that nobody waits for any more, as their clients took them back or fetched the reply: names of the session and raw JSON ids. */
  readonly cancelled: readonly { readonly ref: string; readonly idToken: string }[];
}

const MAX_REF_CHARS = 64;
const MAX_ID_CHARS = 1024;
/** More than any worker says at once. */
const MAX_ITEMS = 100_000;

/** Null for anything that is no news of ours. */
export function asSessionNews(value: unknown): SessionNews | null {
  if (!isRaw(value)) return null;
  const touched = listOf(value['touched'], ({ ref, owner }) => isName(ref) && isName(owner) && { ref, owner });
  const ended = listOf(value['ended'], ({ ref, untilMs }) => isName(ref) && isTime(untilMs) && { ref, untilMs });
  const cancelled = listOf(value['cancelled'], ({ ref, idToken }) => isName(ref) && isText(idToken, MAX_ID_CHARS) && { ref, idToken });
  return touched === null || ended === null || cancelled === null ? null : { touched, ended, cancelled };
}

function listOf<T extends object>(value: unknown, read: (item: Readonly<Record<string, unknown>>) => T | false): T[] | null {
  if (!Array.isArray(value) || value.length > MAX_ITEMS) return null;
  const items: T[] = [];
  for (const item of value as unknown[]) {
    const known = isRaw(item) && read(item);
    if (known === false) return null;
    items.push(known);
  }
  return items;
}

function isName(value: unknown): value is string {
  return isText(value, MAX_REF_CHARS);
}

function isText(value: unknown, maxChars: number): value is string {
  return typeof value === 'string' && value.length <= maxChars;
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}
