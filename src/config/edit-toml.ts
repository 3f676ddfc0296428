import { type AST, parseTOML } from 'toml-eslint-parser';
import { type ApiKeyEntry, entryMembers, literal } from './api-key-entry.ts';

/** Inserts a `[[auth.api_keys]]` table behind the last one, or at the end of the file. */
export function editToml(text: string, entry: ApiKeyEntry): string | { readonly refused: string } {
  const tables = parseTOML(text, { tomlVersion: '1.0.0' }).body[0].body;
  if (tables.some(isInlineKeys)) return { refused: 'api_keys is written as an inline array: turn it into [[auth.api_keys]] tables first' };
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  const block = ['[[auth.api_keys]]', ...entryMembers(entry).map(([name, value]) => `${name} = ${literal(value)}`)].join(eol);
  const last = tables.findLast((table) => table.type === 'TOMLTable' && isKeysTable(table));
  if (last === undefined) return `${text}${text === '' || text.endsWith('\n') ? '' : eol}${text === '' ? '' : eol}${block}${eol}`;
  const at = lineEnd(text, last.range[1]);
  return `${text.slice(0, at)}${eol}${eol}${block}${text.slice(at) === '' ? eol : text.slice(at)}`;
}

/** Tables of the list, and tables below one of its elements. */
function isKeysTable(table: AST.TOMLTable): boolean {
  return table.resolvedKey[0] === 'auth' && table.resolvedKey[1] === 'api_keys';
}

/** `api_keys = […]` in `[auth]`, `auth.api_keys = […]`, `auth = { api_keys = … }`. */
function isInlineKeys(statement: AST.TOMLTable | AST.TOMLKeyValue): boolean {
  if (statement.type === 'TOMLKeyValue') return isInlinePair([], statement);
  const path = statement.resolvedKey.map(String);
  return path.length === 1 && path[0] === 'auth' && statement.body.some((pair) => isInlinePair(path, pair));
}

function isInlinePair(parent: readonly string[], pair: AST.TOMLKeyValue): boolean {
  const path = [...parent, ...pair.key.keys.map((key) => (key.type === 'TOMLBare' ? key.name : key.value))];
  return path[0] === 'auth' && (path.length === 1 || path[1] === 'api_keys');
}

/** The end of the line that `offset` stands in, before its line break: comments behind a value stay with it. */
function lineEnd(text: string, offset: number): number {
  const newline = text.indexOf('\n', offset);
  if (newline === -1) return text.length;
  return text[newline - 1] === '\r' ? newline - 1 : newline;
}
