import { remembered } from './remembered.ts';

/** What an `Accept` header allows of the two media types of Streamable HTTP. */
export interface Accepts {
  readonly json: boolean;
  readonly sse: boolean;
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
const WEIGHT = /^(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)$/;

/** How closely a media range names a type: the closest one decides (RFC 9110, section 12.5.1). */
const EXACT = 3;
const SUBTYPE = 2;
const ANY = 1;

/** See `readContentType`. */
export const isJsonContentType: (value: string) => boolean = remembered(readContentType);
/** See `readAccept`. */
export const acceptsOf: (accept: string) => Accepts = remembered(readAccept);

/**
 * Whether a `Content-Type` is `application/json`, with any parameters but a charset other than UTF-8. Not by suffix, and not
 * `text/plain`: those reach a server from a foreign page without CORS preflight.
 */
function readContentType(value: string): boolean {
  const parts = splitOutsideQuotes(value, ';');
  if (parts === null || parts[0] !== 'application/json') return false;
  return parts.slice(1).every(isHarmlessParameter);
}

function isHarmlessParameter(parameter: string): boolean {
  if (parameter === '') return true;
  const equals = parameter.indexOf('=');
  if (equals === -1 || !TOKEN.test(parameter.slice(0, equals))) return false;
  const value = unquoted(parameter.slice(equals + 1));
  if (value === null) return false;
  return parameter.slice(0, equals) !== 'charset' || value === 'utf-8' || value === 'utf8';
}

function unquoted(value: string): string | null {
  if (TOKEN.test(value)) return value;
  if (value.length < 2 || !value.startsWith('"') || !value.endsWith('"')) return null;
  const inner = value.slice(1, -1);
  return inner.includes('"') || inner.includes('\\') ? null : inner;
}

/** What the ranges of an `Accept` header say of one type; the closest range decides. */
interface Judgement {
  closeness: number;
  isAllowed: boolean;
}

/**
 * What the media ranges of an `Accept` header allow: `q=0` refuses, the most specific range wins. No header (empty)
 * allows both; malformed ranges allow nothing.
 */
function readAccept(accept: string): Accepts {
  if (accept === '') return { json: true, sse: true };
  const { json, sse } = judge(accept);
  return { json: json.isAllowed, sse: sse.isAllowed };
}

/** Whether an `Accept` header names both types, not by wildcards: what clients must send (2025-11-25, Transports). */
export function namesBothTypes(accept: string): boolean {
  const { json, sse } = judge(accept);
  return [json, sse].every(({ closeness, isAllowed }) => closeness === EXACT && isAllowed);
}

function judge(accept: string): { readonly json: Judgement; readonly sse: Judgement } {
  const json: Judgement = { closeness: 0, isAllowed: false };
  const sse: Judgement = { closeness: 0, isAllowed: false };
  for (const range of splitOutsideQuotes(accept, ',') ?? []) {
    const parts = splitOutsideQuotes(range, ';');
    if (parts === null) continue;
    const isAllowed = weightOf(parts) > 0;
    consider(json, closenessTo(parts[0] as string, 'application', 'json'), isAllowed);
    consider(sse, closenessTo(parts[0] as string, 'text', 'event-stream'), isAllowed);
  }
  return { json, sse };
}

function consider(best: Judgement, closeness: number, isAllowed: boolean): void {
  if (closeness === 0 || closeness < best.closeness) return;
  best.isAllowed = closeness === best.closeness ? best.isAllowed || isAllowed : isAllowed;
  best.closeness = closeness;
}

function closenessTo(range: string, type: string, subtype: string): number {
  if (range === `${type}/${subtype}`) return EXACT;
  if (range === `${type}/*`) return SUBTYPE;
  return range === '*/*' ? ANY : 0;
}

/** The weight of a media range, 1 when it states none, 0 when it states nonsense. */
function weightOf(parts: readonly string[]): number {
  const weight = parts.slice(1).find((parameter) => parameter.startsWith('q='));
  if (weight === undefined) return 1;
  const value = weight.slice(2);
  return WEIGHT.test(value) ? Number(value) : 0;
}

/** Trimmed, lower-cased parts between separators that are not inside a quoted string; null when a quote stays open. */
function splitOutsideQuotes(value: string, separator: string): string[] | null {
  const parts: string[] = [];
  let from = 0;
  let isQuoted = false;
  for (let i = 0; i < value.length; i++) {
    const char = value[i];
    if (isQuoted && char === '\\') i++;
    else if (char === '"') isQuoted = !isQuoted;
    else if (!isQuoted && char === separator) {
      parts.push(trimmed(value.slice(from, i)));
      from = i + 1;
    }
  }
  if (isQuoted) return null;
  parts.push(trimmed(value.slice(from)));
  return parts;
}

/** Without optional white space (space and tab only) around it, lower case (of ASCII letters only). Linear, unlike `/[ \t]+$/`. */
function trimmed(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isSpace(text.charCodeAt(from))) from++;
  while (to > from && isSpace(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to).replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

function isSpace(unit: number): boolean {
  return unit === 0x20 || unit === 0x09;
}
