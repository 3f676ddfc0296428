import { RE2JS } from 're2js';
import type { RedactionRule } from '../core/config.ts';
import { REDACTED } from '../core/secret-names.ts';
import { BUILT_IN, HINT, type RedactionPattern } from './patterns.ts';

/** Replaces secrets in a text; the same text when there are none. Linear in the length; never throws. */
export type Redact = (text: string) => string;

/** Shorter configured secrets are not searched for: they would be found everywhere. */
const MIN_SECRET_CHARS = 8;

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
