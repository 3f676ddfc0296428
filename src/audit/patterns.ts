import { REDACTED } from '../core/secret-names.ts';

/** A pattern in RE2 syntax and what replaces its matches (`$1` = first group). */
export interface RedactionPattern {
  readonly pattern: string;
  readonly replacement: string;
}

/** Literals of which at least one stands in every text that a built-in pattern can match: one cheap look skips the rest. */
export const HINT: RegExp =
  /mcp_|eyj|bearer|basic|digest|akia|asia|gh[opsur]_|github_pat_|glpat-|sk-|sk_|rk_|xox|aiza|ya29|hf_|npm_|-----begin|passw|passphrase|pwd|secret|token|key|authorization|cookie|credential|session|jwt|:\/\//i;

/** Credentials that are recognisable by their own shape. */
const SHAPES: readonly string[] = [
  'mcp_[A-Za-z0-9_-]{40,}',
  // JWS and JWE, compact form; a token cut short still begins like one
  'eyJ[A-Za-z0-9_-]{8,}(?:\\.[A-Za-z0-9_-]*){1,4}',
  '(?i:bearer|basic|digest)[ \\t]+[A-Za-z0-9._~+/=-]{8,}',
  '(?:AKIA|ASIA)[0-9A-Z]{16}',
  'gh[opsur]_[A-Za-z0-9]{30,}',
  'github_pat_[A-Za-z0-9_]{22,}',
  'glpat-[A-Za-z0-9_-]{20,}',
  '(?:sk|rk)[-_][A-Za-z0-9_-]{20,}',
  'xox[abeoprs]-[A-Za-z0-9-]{10,}',
  'AIza[A-Za-z0-9_-]{30,}',
  'ya29\\.[A-Za-z0-9_-]{20,}',
  '(?:hf|npm)_[A-Za-z0-9]{30,}',
  '-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\\z)',
];

const SECRET_NAME = '(?:passwd|password|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|secret[_-]?key)';
/** In quotes and before a colon a name is a name, so more of them can be taken for secrets. */
const QUOTED_NAME =
  '(?:passwd|password|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|secret[_-]?key|authorization|cookie|credentials?|session[_-]?id|jwt)';
/** Not `token` and `secret`, which are ordinary words of a sentence. */
const SPOKEN_NAME = '(?:passwd|password|passphrase|api[_-]?key|access[_-]?key|private[_-]?key|(?:client|secret)[_-](?:secret|key))';

/** Built-in patterns, applied in this order before the configured rules. */
export const BUILT_IN: readonly RedactionPattern[] = [
  { pattern: SHAPES.join('|'), replacement: REDACTED },
  // NAME=value, also with quotes
  { pattern: `(?i)(${SECRET_NAME}[ \\t]*=[ \\t]*)(?:"[^"]*"|'[^']*'|[^\\s"',;&]+)`, replacement: `$1${REDACTED}` },
  // "name": "value" of JSON in a text, its escapes included; 'name': 'value' as some languages print it
  { pattern: `(?i)(${QUOTED_NAME}"\\s*:\\s*")(?:[^"\\\\]|\\\\.)+`, replacement: `$1${REDACTED}` },
  { pattern: `(?i)(${QUOTED_NAME}'\\s*:\\s*')(?:[^'\\\\]|\\\\.)+`, replacement: `$1${REDACTED}` },
  // the same in JSON within JSON, where the quotes are escaped
  { pattern: `(?i)(${QUOTED_NAME}\\\\+"\\s*:\\s*\\\\+")[^"\\\\]+`, replacement: `$1${REDACTED}` },
  // numbers and lists under such a name
  { pattern: `(?i)(${QUOTED_NAME}\\\\*["']\\s*:\\s*)(?:[0-9]{4,}|\\[[^\\]]*\\]?)`, replacement: `$1${REDACTED}` },
  // name: value, and --name value, of a text
  { pattern: `(?i)(${SPOKEN_NAME}[ \\t]*:[ \\t]*)[^\\s"',;&\\[{]+`, replacement: `$1${REDACTED}` },
  { pattern: `(?i)(--[a-z0-9-]*${SECRET_NAME}[ \\t]+)(?:"[^"]*"|'[^']*'|[^\\s"'\\[-]\\S*)`, replacement: `$1${REDACTED}` },
  // header lines
  { pattern: '(?i)((?:authorization|x-api-key|cookie)[ \\t]*:[ \\t]*)[^\\s\\[][^\\r\\n]*', replacement: `$1${REDACTED}` },
  // user information of a URL
  { pattern: '(://)[^\\s/?#@:]*:[^\\s/?#@]+@', replacement: `$1${REDACTED}@` },
];
