import { isAlias, isMap, isScalar, isSeq, type Node, type Pair, parseDocument, visit, type YAMLMap, type YAMLSeq } from 'yaml';
import { type ApiKeyEntry, entryMembers, literal } from './api-key-entry.ts';

type Edited = string | { readonly refused: string };

/** Inserts an item behind the last one of `auth.api_keys`, making what is missing. Only block style is edited. */
export function editYaml(text: string, entry: ApiKeyEntry): Edited {
  const document = parseDocument(text, { version: '1.2', keepSourceTokens: true });
  let hasAlias = false;
  visit(document, { Alias: () => void (hasAlias = true) });
  if (hasAlias) return { refused: 'the file uses YAML aliases' };
  const root = document.contents;
  if (root === null) return insertLines(text, text.length, ['auth:', '  api_keys:', ...itemLines(entry, 4)]);
  if (!isMap(root) || root.flow === true) return { refused: 'the file is not written in block style' };
  return inRoot(text, root, entry);
}

function inRoot(text: string, root: YAMLMap, entry: ApiKeyEntry): Edited {
  const auth = pairOf(root, 'auth');
  const indent = columnOf(text, root);
  if (auth === null) return insertLines(text, endOf(text, root), lines(indent, ['auth:', '  api_keys:', ...itemLines(entry, 4)]));
  if (!isMap(auth.value) || auth.value.flow === true) return { refused: 'auth is not written in block style' };
  const keys = pairOf(auth.value, 'api_keys');
  const inner = columnOf(text, auth.value);
  if (keys === null) return insertLines(text, endOf(text, auth.value), lines(inner, ['api_keys:', ...itemLines(entry, 2)]));
  return inKeys(text, keys.value, inner, entry);
}

function inKeys(text: string, list: Node | null, indent: number, entry: ApiKeyEntry): Edited {
  if (isSeq(list) && list.flow === true && list.items.length === 0 && list.range) {
    return `${text.slice(0, list.range[0]).trimEnd()}${eolOf(text)}${lines(indent + 2, itemLines(entry, 0)).join(eolOf(text))}${text.slice(list.range[1])}`;
  }
  if (!isSeq(list) || list.flow === true || list.items.length === 0) return { refused: 'api_keys is not written in block style' };
  return insertLines(text, endOf(text, list), lines(columnOf(text, list), itemLines(entry, 0)));
}

function pairOf(map: YAMLMap, name: string): Pair<Node, Node | null> | null {
  const pairs = map.items as Pair<Node, Node | null>[];
  return pairs.find((pair) => isScalar(pair.key) && pair.key.value === name) ?? null;
}

function itemLines(entry: ApiKeyEntry, indent: number): readonly string[] {
  return entryMembers(entry).map(([name, value], index) => `${' '.repeat(indent)}${index === 0 ? '- ' : '  '}${name}: ${literal(value)}`);
}

function lines(indent: number, block: readonly string[]): readonly string[] {
  return block.map((line) => `${' '.repeat(indent)}${line}`);
}

/** The column at which the keys of a mapping, or the dashes of a list, stand. */
function columnOf(text: string, node: YAMLMap | YAMLSeq): number {
  const start = node.range?.[0] ?? 0;
  return start - (text.lastIndexOf('\n', start - 1) + 1);
}

/** The end of the line on which the last value below `node` ends; trailing comments on lines of their own stay behind the insertion. */
function endOf(text: string, node: Node): number {
  const end = Math.max(0, lastValueEnd(node));
  if (end > 0 && text[end - 1] === '\n') return end;
  const newline = text.indexOf('\n', end);
  return newline === -1 ? text.length : newline + 1;
}

function lastValueEnd(node: Node | null): number {
  if (node === null) return 0;
  const own = node.range?.[1] ?? 0;
  if (isAlias(node) || isScalar(node) || ((isMap(node) || isSeq(node)) && node.flow === true)) return own;
  const last: unknown = (isMap(node) || isSeq(node)) && node.items.at(-1);
  if (typeof last !== 'object' || last === null) return own;
  if (!('key' in last)) return lastValueEnd(last as Node);
  const pair = last as Pair<Node, Node | null>;
  return Math.max(lastValueEnd(pair.key), lastValueEnd(pair.value));
}

function insertLines(text: string, at: number, block: readonly string[]): string {
  const eol = eolOf(text);
  const before = text.slice(0, at);
  return `${before}${before === '' || before.endsWith('\n') ? '' : eol}${block.join(eol)}${eol}${text.slice(at)}`;
}

function eolOf(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n';
}
