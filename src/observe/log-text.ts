import { isSecretName, REDACTED } from '../core/secret-names.ts';

/** Longest text of one field, in UTF-16 units. */
const MAX_CHARS = 2048;
/** What is looked at of a longer one; cut off after it as well, in case a secret begins inside and ends outside. */
const WINDOW_CHARS = 8192;
const MARGIN_CHARS = 256;
const MAX_DEPTH = 8;
const MAX_ENTRIES = 100;
const MAX_FRAMES = 12;

/** Controls, line ends, invisible and bidi characters: a line of the log is one line, also on a terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNSAFE = /[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Writes what would move the cursor, break the line or hide text as an escape. */
export function safeText(text: string): string {
  return text.replaceAll(UNSAFE, (unit) => NAMED[unit] ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Redacted, cut (never inside a surrogate pair) and safe to show. */
export function cleanText(text: string, redact: (text: string) => string): string {
  const isWindowed = text.length > WINDOW_CHARS;
  const redacted = redact(isWindowed ? text.slice(0, WINDOW_CHARS) : text);
  const most = isWindowed ? Math.min(MAX_CHARS, Math.max(redacted.length - MARGIN_CHARS, 0)) : MAX_CHARS;
  if (redacted.length <= most && !isWindowed) return safeText(redacted);
  const last = redacted.charCodeAt(most - 1);
  return `${safeText(redacted.slice(0, last >= 0xd800 && last <= 0xdbff ? most - 1 : most))}…`;
}

/**
 * A bounded copy of a log field in which every text is clean and whatever stands under a secret-looking name is replaced,
 * at any depth; errors become their type, message, code and stack.
 */
export function cleanValue(value: unknown, redact: (text: string) => string, depth = 0): unknown {
  if (typeof value === 'string') return cleanText(value, redact);
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'function' || typeof value === 'symbol') return `[${typeof value}]`;
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return '[too deep]';
  if (value instanceof Error) return cleanError(value, redact, depth);
  if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map((item) => cleanValue(item, redact, depth + 1));
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  const entries = Object.entries(value).slice(0, MAX_ENTRIES);
  return Object.fromEntries(
    entries.map(([name, item]) => [cleanText(name, redact), isHidden(name, item) ? REDACTED : cleanValue(item, redact, depth + 1)]),
  );
}

function isHidden(name: string, item: unknown): boolean {
  return item !== null && item !== undefined && typeof item !== 'boolean' && isSecretName(name);
}

function cleanError(error: Error, redact: (text: string) => string, depth: number): Record<string, unknown> {
  const { code } = error as { code?: unknown };
  return {
    type: cleanText(error.name, redact),
    message: cleanText(error.message, redact),
    ...(typeof code === 'string' || typeof code === 'number' ? { code: cleanValue(code, redact) } : {}),
    stack: framesOf(error.stack ?? '', redact),
    ...(error.cause === undefined ? {} : { cause: cleanValue(error.cause, redact, depth + 1) }),
  };
}

/** Only the frames: what stands before them is the message, which may hold line ends of somebody else. */
function framesOf(stack: string, redact: (text: string) => string): string[] {
  const frames = stack
    .slice(0, WINDOW_CHARS)
    .split('\n')
    .filter((line) => line.startsWith('    at '));
  return frames.slice(0, MAX_FRAMES).map((line) => cleanText(line.trim(), redact));
}
