import type { Redact } from './redact.ts';

/** Longest string kept of one field, in UTF-16 units, before the marker. */
export const MAX_FIELD_CHARS: number = 1024;
/** What is looked at of a longer one: patterns must see whole secrets, and the work stays bounded. */
const WINDOW_CHARS = 4096;
/** Cut off after the window as well, in case a secret begins inside and ends outside. */
const MARGIN_CHARS = 256;
const CACHED_CHARS = 128;
const CACHE_ENTRIES = 1024;
/** As many callers as that may take turns. */
export const CACHED_IDENTITIES: number = 16_384;

const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;
/** Legal in JSON, not harmless on a terminal or in a line-based viewer: C1 controls, line separators, invisible and bidi controls. */
const UNSAFE = /[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Redacts and cuts a field's text; the cut ends in `…` and never splits a surrogate pair. */
export function cutField(value: string, redact: Redact): string {
  if (value.length <= MAX_FIELD_CHARS) return shorten(redact(value), MAX_FIELD_CHARS, false);
  const isWindowed = value.length > WINDOW_CHARS;
  const text = redact(isWindowed ? value.slice(0, WINDOW_CHARS) : value);
  const most = isWindowed ? Math.min(MAX_FIELD_CHARS, Math.max(text.length - MARGIN_CHARS, 0)) : MAX_FIELD_CHARS;
  return shorten(text, most, isWindowed);
}

function shorten(text: string, most: number, isMarked: boolean): string {
  if (text.length <= most && !isMarked) return text;
  const last = text.charCodeAt(most - 1);
  const end = last >= 0xd800 && last <= 0xdbff ? most - 1 : most;
  return `${text.slice(0, end)}…`;
}

/** A JSON string literal, in one line whatever it holds; lone surrogates are escaped (well-formed JSON.stringify). */
export function quote(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  return JSON.stringify(text).replaceAll(UNSAFE, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/**
 * Turns the values of a field into members of a JSON object, `,"tool":"echo"`, redacted and cut. Values that repeat (identities, servers,
 * tools, addresses) are worked out once; a value that held a secret is never kept. Two generations, of `entries` each, bound the memory.
 */
export function buildFieldEncoder(name: string, redact: Redact, entries: number = CACHE_ENTRIES): (value: string) => string {
  const prefix = `,"${name}":`;
  let young = new Map<string, string>();
  let old = new Map<string, string>();
  let lastValue: string | null = null;
  let lastMember = '';
  const keep = (value: string, member: string): string => {
    if (young.size >= entries) {
      old = young;
      young = new Map();
    }
    young.set(value, member);
    return member;
  };
  const find = (value: string): string | undefined => {
    const known = young.get(value);
    if (known !== undefined) return known;
    const before = old.get(value);
    return before === undefined ? undefined : keep(value, before);
  };
  return (value) => {
    if (value === lastValue) return lastMember;
    let member = find(value);
    if (member === undefined) {
      const text = cutField(value, redact);
      member = inOnePiece(prefix + quote(text));
      if (text !== value || value.length > CACHED_CHARS) return member;
      keep(value, member);
    }
    lastValue = value;
    lastMember = member;
    return member;
  };
}

/** The same text, not as a rope: reading a unit makes V8 join it. */
export function inOnePiece(text: string): string {
  text.charCodeAt(0);
  return text;
}
