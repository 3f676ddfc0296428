import { isUtf8 } from 'node:buffer';

const PREFIX = '=?base64?';
const SUFFIX = '?=';
/** Canonical Base64 (RFC 4648, section 4), as far as an expression can tell. */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** Printable ASCII without white space at its edges. */
const PLAIN = /^(?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?$/;

/**
 * A value of `Mcp-Name` or `Mcp-Param-*` as it goes into the header (2026-07-28, Transports, value encoding): as it is when
 * that is printable ASCII, else its UTF-8 in Base64 between markers. What looks like that already is wrapped too.
 */
export function encodeHeaderValue(text: string): string {
  const isPlain = text !== '' && PLAIN.test(text) && !isWrapped(text);
  return isPlain ? text : PREFIX + Buffer.from(text).toString('base64') + SUFFIX;
}

/** The text that such a header stands for; null when it is marked as Base64 and is none, or no UTF-8. */
export function decodeHeaderValue(value: string): string | null {
  const trimmed = withoutEdgeSpace(value);
  if (!isWrapped(trimmed)) return trimmed;
  const base64 = trimmed.slice(PREFIX.length, -SUFFIX.length);
  if (!BASE64.test(base64)) return null;
  const bytes = Buffer.from(base64, 'base64');
  return isUtf8(bytes) && bytes.toString('base64') === base64 ? bytes.toString('utf8') : null;
}

function isWrapped(text: string): boolean {
  return text.length >= PREFIX.length + SUFFIX.length && text.startsWith(PREFIX) && text.endsWith(SUFFIX);
}

/** Optional white space around a field value is not part of it (RFC 9110, section 5.5). Linear, unlike an expression. */
export function withoutEdgeSpace(value: string): string {
  let from = 0;
  let to = value.length;
  while (from < to && isSpace(value.charCodeAt(from))) from += 1;
  while (to > from && isSpace(value.charCodeAt(to - 1))) to -= 1;
  return from === 0 && to === value.length ? value : value.slice(from, to);
}

function isSpace(unit: number): boolean {
  return unit === 0x20 || unit === 0x09;
}
