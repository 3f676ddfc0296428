import { RE2JS } from 're2js';
import { type GlobToken, literalOf, matchName, parseGlob, PatternError, uriExpression } from './glob.ts';

/** Longest pattern, in UTF-16 units. */
const MAX_PATTERN_LENGTH = 1024;
/** Bounds the steps per character of a regular expression. */
const MAX_PROGRAM_SIZE = 4096;
const EXPRESSION_PREFIX = 're:';

/** Decides about a whole value, in time linear in it. Never throws. */
export type Matcher = (value: string) => boolean;

/**
 * Compiles a pattern of the configuration. Globs and regular expressions (`re:`, RE2 syntax, `(?i)` works) are
 * case-sensitive and match the whole value. In a `name`, `*` matches any characters; in a `uri`, `*`, `?` and classes stay
 * within a segment and `**` crosses. Throws PatternError with a message for the operator.
 */
export function compilePattern(text: string, kind: 'name' | 'uri'): Matcher {
  if (text === '') throw new PatternError('empty pattern');
  if (text.length > MAX_PATTERN_LENGTH) throw new PatternError(`longer than ${MAX_PATTERN_LENGTH} characters`);
  if (!text.isWellFormed()) throw new PatternError('not Unicode text (lone surrogate)');
  if (text.startsWith(EXPRESSION_PREFIX)) return compileExpression(text.slice(EXPRESSION_PREFIX.length));
  const tokens = parseGlob(text);
  const literal = literalOf(tokens);
  if (literal !== null) return (value) => value === literal;
  if (matchesAll(tokens, kind)) return () => true;
  return kind === 'name' ? (value) => matchName(tokens, value) : compileExpression(uriExpression(tokens));
}

/** The only value that a pattern matches, null when it has wildcards or is a regular expression. Throws PatternError. */
export function exactValueOf(text: string): string | null {
  return text.startsWith(EXPRESSION_PREFIX) ? null : literalOf(parseGlob(text));
}

/** Whether a name pattern plainly matches every name: `*` and its like. Throws PatternError. */
export function matchesEveryName(text: string): boolean {
  return !text.startsWith(EXPRESSION_PREFIX) && matchesAll(parseGlob(text), 'name');
}

function matchesAll(tokens: readonly GlobToken[], kind: 'name' | 'uri'): boolean {
  const [only] = tokens;
  return tokens.length === 1 && only?.kind === 'star' && (kind === 'name' || only.stars > 1);
}

function compileExpression(expression: string): Matcher {
  if (expression === '') throw new PatternError('empty regular expression');
  const compiled = parseExpression(expression);
  if (compiled.programSize() > MAX_PROGRAM_SIZE) throw new PatternError('regular expression too large');
  return (value) => compiled.matches(value);
}

function parseExpression(expression: string): RE2JS {
  try {
    return RE2JS.compile(expression);
  } catch (cause) {
    throw new PatternError(cause instanceof Error ? cause.message : 'not a regular expression', { cause });
  }
}
