import { findNodeAtLocation, type Node, parseTree } from 'jsonc-parser';
import { type ApiKeyEntry, entryMembers } from './api-key-entry.ts';

/** Adds an element to `auth.api_keys`, making what is missing, in the indentation of the file; nothing else is formatted anew. */
export function editJson(text: string, entry: ApiKeyEntry): string | { readonly refused: string } {
  const root = parseTree(text);
  const element = Object.fromEntries(entryMembers(entry));
  if (root?.type !== 'object') return { refused: 'the file holds no object' };
  const auth = findNodeAtLocation(root, ['auth']);
  if (auth === undefined) return append(text, root, `"auth": ${written(text, { api_keys: [element] })}`);
  if (auth.type !== 'object') return { refused: 'auth is no object' };
  const keys = findNodeAtLocation(auth, ['api_keys']);
  if (keys === undefined) return append(text, auth, `"api_keys": ${written(text, [element])}`);
  return keys.type === 'array' ? append(text, keys, written(text, element)) : { refused: 'auth.api_keys is no list' };
}

/** Files on one line stay on one line. */
function written(text: string, value: unknown): string {
  return JSON.stringify(value, null, indentOf(text) ?? undefined);
}

/** One step of indentation, or null for a file without any. */
function indentOf(text: string): string | null {
  return /\n([ \t]+)\S/.exec(text)?.[1] ?? null;
}

/** Puts a member behind the last one of an object or array. */
function append(text: string, container: Node, member: string): string {
  const last = container.children?.at(-1);
  const end = container.offset + container.length - 1;
  if (last === undefined) return inside(text, container, member);
  const lastEnd = last.offset + last.length;
  const tail = text.slice(lastEnd, end);
  // A comment on the line of the last member stays on that line, behind the new comma.
  const newline = tail.includes('/*') ? -1 : tail.search(/\r?\n/);
  const at = newline === -1 ? lastEnd : lastEnd + newline;
  const lead = newline === -1 ? ' ' : eolOf(text) + leadOf(text, last.offset);
  return `${text.slice(0, lastEnd)},${text.slice(lastEnd, at)}${lead}${indented(text, member, newline === -1 ? '' : leadOf(text, last.offset))}${text.slice(at)}`;
}

/** Into an empty object or array, directly behind its opening bracket. */
function inside(text: string, container: Node, member: string): string {
  const at = container.offset + 1;
  const step = indentOf(text);
  if (step === null) return text.slice(0, at) + member + text.slice(at);
  const outer = leadOf(text, container.offset);
  const rest = text.slice(at);
  const closing = /^\s*[\]}]/.test(rest) ? eolOf(text) + outer + rest.trimStart() : rest;
  return `${text.slice(0, at)}${eolOf(text)}${outer}${step}${indented(text, member, outer + step)}${closing}`;
}

/** The white space at the start of the line on which `offset` stands. */
function leadOf(text: string, offset: number): string {
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  return /^[ \t]*/.exec(text.slice(start, offset))?.[0] ?? '';
}

function indented(text: string, member: string, lead: string): string {
  return member.replaceAll('\n', () => eolOf(text) + lead);
}

function eolOf(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n';
}
