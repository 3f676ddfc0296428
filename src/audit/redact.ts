import { RE2JS } from 're2js';
import type { RedactionRule } from '../core/config.ts';
import { BUILT_IN, HINT, isSecretName, REDACTED, type RedactionPattern } from './patterns.ts';

/** Replaces secrets in a text; the same text when there are none. Linear in the length; never throws. */
export type Redact = (text: string) => string;

/** Shorter configured secrets are not searched for: they would be found everywhere. */
const MIN_SECRET_CHARS = 8;
const MAX_DEPTH = 8;
const MAX_ENTRIES = 100;

interface Compiled {
  readonly expression: RE2JS;
  readonly replacement: string;
}

/** Compiles one pattern; throws what `RE2JS.compile` throws for a bad one. */
function compile({ pattern, replacement }: RedactionPattern): Compiled {
  return { expression: RE2JS.compile(pattern), replacement };
}

function apply(rules: readonly Compiled[], text: string): string {
  let result = text;
  for (const { expression, replacement } of rules) {
    if (expression.test(result)) result = expression.matcher(result).replaceAll(replacement);
  }
  return result;
}

/**
 * Built-in patterns, then the configured rules, then the given secrets themselves (credentials for upstreams, which a
 * child may print). One compilation serves every sink: audit and log.
 * @param rules checked by `checkRedaction`; a bad pattern throws here
 */
export function compileRedaction(rules: readonly RedactionRule[], secrets: readonly string[] = []): Redact {
  const builtIn = BUILT_IN.map(compile);
  const own = rules.map(compile);
  const literal = secrets.filter((secret) => secret.length >= MIN_SECRET_CHARS).sort((one, other) => other.length - one.length);
  return (text) => {
    let result = text;
    for (const secret of literal) if (result.includes(secret)) result = result.replaceAll(secret, REDACTED);
    if (HINT.test(result)) result = apply(builtIn, result);
    return own.length === 0 ? result : apply(own, result);
  };
}

/**
 * A copy of plain data in which every string is redacted and whatever stands under a secret-looking name is replaced, at
 * any depth. Bounded: deeper or wider parts become a marker. Objects with behaviour are described, not walked.
 */
export function redactObject(value: unknown, redact: Redact): unknown {
  return redactAt(value, redact, 0);
}

function redactAt(value: unknown, redact: Redact, depth: number): unknown {
  if (typeof value === 'string') return redact(value);
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'function' || typeof value === 'symbol') return `[${typeof value}]`;
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return '[too deep]';
  if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map((item) => redactAt(item, redact, depth + 1));
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  return redactEntries(value, redact, depth);
}

function redactEntries(value: object, redact: Redact, depth: number): Record<string, unknown> {
  const copy: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [name, item] of Object.entries(value).slice(0, MAX_ENTRIES)) {
    const isHidden = isSecretName(name) && item !== null && item !== undefined && typeof item !== 'boolean';
    copy[redact(name)] = isHidden ? REDACTED : redactAt(item, redact, depth + 1);
  }
  return copy;
}
