import type { Envelope } from '../core/envelope.ts';
import { decodeHeaderValue, encodeHeaderValue } from './header-value.ts';

/** An argument of a tool that calls repeat in the header `Mcp-Param-<name>` (2026-07-28, Transports, `x-mcp-header`). */
export interface ParamHeader {
  /** Lower case. */
  readonly header: string;
  /** Keys that lead to the argument. */
  readonly path: readonly string[];
  readonly isNumber: boolean;
}

const ANNOTATION = 'x-mcp-header';
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const TYPES: ReadonlySet<unknown> = new Set(['string', 'integer', 'boolean']);
const DECIMAL = /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/;
const MAX_DEPTH = 32;

type Fields = Readonly<Record<string, unknown>>;

interface Scan {
  readonly found: ParamHeader[];
  readonly names: Set<string>;
  isSound: boolean;
}

/**
 * The headers that an `inputSchema` asks for. Null when an annotation is malformed, twice, on anything but a string, integer or
 * boolean, or not reached by `properties` alone: a client must not use such a tool.
 */
export function paramHeadersOf(inputSchema: unknown): readonly ParamHeader[] | null {
  const scan: Scan = { found: [], names: new Set(), isSound: true };
  visit(inputSchema, [], true, scan);
  return scan.isSound ? scan.found : null;
}

function visit(schema: unknown, path: readonly string[], isReachable: boolean, scan: Scan): void {
  if (path.length > MAX_DEPTH) return;
  if (Array.isArray(schema)) {
    for (const one of schema) visit(one, [...path, ''], false, scan);
    return;
  }
  if (!isObject(schema)) return;
  if (Object.hasOwn(schema, ANNOTATION)) note(schema, path, isReachable, scan);
  for (const [keyword, child] of Object.entries(schema)) {
    if (keyword === 'properties' && isObject(child))
      for (const [key, one] of Object.entries(child)) visit(one, [...path, key], isReachable, scan);
    else if (keyword !== ANNOTATION && !LITERALS.has(keyword)) visit(child, [...path, ''], false, scan);
  }
}

/** Keywords whose values are data, whatever they look like. */
const LITERALS: ReadonlySet<string> = new Set(['const', 'enum', 'default', 'examples']);

function note(schema: Fields, path: readonly string[], isReachable: boolean, scan: Scan): void {
  const name = schema[ANNOTATION];
  const header = typeof name === 'string' && TOKEN.test(name) ? `mcp-param-${name.toLowerCase()}` : '';
  if (header === '' || !isReachable || path.length === 0 || !TYPES.has(schema['type']) || scan.names.has(header)) {
    scan.isSound = false;
    return;
  }
  scan.names.add(header);
  scan.found.push({ header, path, isNumber: schema['type'] === 'integer' });
}

/** `params.arguments` of a call that has been parsed. */
export function argumentsOf({ bytes, paramsStart, paramsEnd }: Envelope): unknown {
  return paramsStart < 0 ? undefined : (JSON.parse(bytes.toString('utf8', paramsStart, paramsEnd)) as Fields)['arguments'];
}

/** Whether the `Mcp-Param-*` headers of a call (names and values, flat) say what its arguments say, and none of them is missing. */
export function agree(declared: readonly ParamHeader[], args: unknown, headers: readonly string[] | null): boolean {
  return declared.every(({ header, path, isNumber }) => {
    const value = textOf(valueAt(args, path));
    if (value === null) return true;
    const at = headers?.findIndex((name, index) => index % 2 === 0 && name === header) ?? -1;
    const said = at < 0 ? null : decodeHeaderValue(headers?.[at + 1] ?? '');
    if (said === null) return false;
    return said === value || (isNumber && DECIMAL.test(said) && Number(said) === Number(value));
  });
}

/** The headers that go with these arguments, as names and values, flat. */
export function paramHeaders(declared: readonly ParamHeader[], args: unknown): string[] {
  return declared.flatMap(({ header, path }) => {
    const value = textOf(valueAt(args, path));
    return value === null ? [] : [header, encodeHeaderValue(value)];
  });
}

/** Null for what has no header: nothing, `null`, and values that are no strings, numbers or booleans. */
function textOf(value: unknown): string | null {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : null;
}

function valueAt(args: unknown, path: readonly string[]): unknown {
  let value = args;
  for (const key of path) value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  return value;
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
