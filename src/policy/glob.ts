/** A fault in a pattern, in words for the operator. */
export class PatternError extends Error {
  override readonly name = 'PatternError';
}

/** One element of a parsed glob. `stars` is how many stood together; `ranges` are pairs of code points, inclusive. */
export type GlobToken =
  | { readonly kind: 'char'; readonly point: number }
  | { readonly kind: 'any' }
  | { readonly kind: 'class'; readonly isNegated: boolean; readonly ranges: readonly number[] }
  | { readonly kind: 'star'; readonly stars: number };

/**
 * Parses a glob: `*`, `**`, `?`, `[ab]`, `[a-z]`, `[!ab]`, `\` before a character takes it literally. What other glob
 * dialects know and this one does not (`{a,b}`, `[^ab]`) is an error instead of a pattern that silently never matches.
 */
export function parseGlob(text: string): GlobToken[] {
  const points = Array.from(text, (char) => char.codePointAt(0) as number);
  const tokens: GlobToken[] = [];
  for (let at = 0; at < points.length; ) at = parseToken(points, at, tokens);
  return tokens;
}

/** The only text that the glob matches, null when it has wildcards. */
export function literalOf(tokens: readonly GlobToken[]): string | null {
  let text = '';
  for (const token of tokens) {
    if (token.kind !== 'char') return null;
    text += String.fromCodePoint(token.point);
  }
  return text;
}

function parseToken(points: readonly number[], at: number, tokens: GlobToken[]): number {
  const char = String.fromCodePoint(points[at] as number);
  if (char === '*') return parseStars(points, at, tokens);
  if (char === '[') return parseClass(points, at, tokens);
  if (char === '{' || char === '}')
    throw new PatternError(`"${char}" has no meaning in a pattern: list the alternatives one by one, or write \\${char}`);
  if (char === ']') throw new PatternError('"]" without "[": write \\] for the character itself');
  if (char === '?') {
    tokens.push({ kind: 'any' });
    return at + 1;
  }
  const escapes = char === '\\' ? 1 : 0;
  tokens.push({ kind: 'char', point: pointAt(points, at + escapes, 'ends in "\\"') });
  return at + escapes + 1;
}

function parseStars(points: readonly number[], at: number, tokens: GlobToken[]): number {
  let end = at;
  while (points[end] === 0x2a) end++;
  tokens.push({ kind: 'star', stars: end - at });
  return end;
}

function parseClass(points: readonly number[], at: number, tokens: GlobToken[]): number {
  let p = at + 1;
  if (points[p] === 0x5e)
    throw new PatternError('"[^…]" is not known: write [!…] for any other character, [\\^…] for the character itself');
  const isNegated = points[p] === 0x21;
  if (isNegated) p++;
  const ranges: number[] = [];
  while (pointAt(points, p, '"[" is not closed') !== 0x5d) p = parseRange(points, p, ranges);
  if (ranges.length === 0) throw new PatternError('empty "[]"');
  tokens.push({ kind: 'class', isNegated, ranges });
  return p + 1;
}

function parseRange(points: readonly number[], at: number, ranges: number[]): number {
  let p = at;
  if (points[p] === 0x5c) p++;
  const low = pointAt(points, p++, '"[" is not closed');
  let high = low;
  // A hyphen before the closing bracket is itself.
  if (points[p] === 0x2d && points[p + 1] !== 0x5d) {
    p++;
    if (points[p] === 0x5c) p++;
    high = pointAt(points, p++, '"[" is not closed');
  }
  if (high < low) throw new PatternError(`range "${String.fromCodePoint(low)}-${String.fromCodePoint(high)}" is reversed`);
  ranges.push(low, high);
  return p;
}

function pointAt(points: readonly number[], at: number, message: string): number {
  const point = points[at];
  if (point === undefined) throw new PatternError(message);
  return point;
}

/**
 * Whether the glob matches the whole name; stars match any characters. Only the last star is ever reconsidered, so the
 * time is at most pattern times name, whatever the pattern.
 */
export function matchName(tokens: readonly GlobToken[], name: string): boolean {
  let at = 0;
  let token = 0;
  let starToken = -1;
  let starAt = 0;
  while (at < name.length) {
    const current = tokens[token];
    const point = name.codePointAt(at) as number;
    if (current?.kind === 'star') {
      starToken = token++;
      starAt = at;
    } else if (current !== undefined && matchesPoint(current, point)) {
      token++;
      at += widthOf(point);
    } else {
      if (starToken === -1) return false;
      starAt += widthOf(name.codePointAt(starAt) as number);
      at = starAt;
      token = starToken + 1;
    }
  }
  while (tokens[token]?.kind === 'star') token++;
  return token === tokens.length;
}

function widthOf(point: number): number {
  return point > 0xffff ? 2 : 1;
}

function matchesPoint(token: GlobToken, point: number): boolean {
  if (token.kind === 'char') return token.point === point;
  if (token.kind !== 'class') return token.kind === 'any';
  for (let i = 0; i < token.ranges.length; i += 2) {
    if (point >= (token.ranges[i] as number) && point <= (token.ranges[i + 1] as number)) return !token.isNegated;
  }
  return token.isNegated;
}

/**
 * The glob as an RE2 expression, for URIs: `*`, `?` and classes stay within a segment (never match `/`), `**` crosses.
 */
export function uriExpression(tokens: readonly GlobToken[]): string {
  return tokens.map(uriElement).join('');
}

function uriElement(token: GlobToken): string {
  if (token.kind === 'char') return pointExpression(token.point);
  if (token.kind === 'any') return '[^/]';
  if (token.kind === 'star') return token.stars === 1 ? '[^/]*' : '(?s:.)*';
  const pairs: string[] = [];
  for (let i = 0; i < token.ranges.length; i += 2) pairs.push(...withoutSlash(token.ranges[i] as number, token.ranges[i + 1] as number));
  if (token.isNegated) return `[^/${pairs.join('')}]`;
  // A class of "/" alone matches nothing.
  return pairs.length === 0 ? '[^\\x{0}-\\x{10FFFF}]' : `[${pairs.join('')}]`;
}

function withoutSlash(low: number, high: number): string[] {
  if (low > 0x2f || high < 0x2f) return [rangeExpression(low, high)];
  return [...(low < 0x2f ? [rangeExpression(low, 0x2e)] : []), ...(high > 0x2f ? [rangeExpression(0x30, high)] : [])];
}

function rangeExpression(low: number, high: number): string {
  return `${pointExpression(low)}-${pointExpression(high)}`;
}

function pointExpression(point: number): string {
  return `\\x{${point.toString(16)}}`;
}
