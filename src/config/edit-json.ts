import { applyEdits, type JSONPath, modify } from 'jsonc-parser';
import { type ApiKeyEntry, entryMembers } from './api-key-entry.ts';
import { parseJson } from './parse-json.ts';
import { find } from './tree.ts';

/** Adds an element to `auth.api_keys`, making what is missing, in the indentation of the file. */
export function editJson(text: string, entry: ApiKeyEntry): string | { readonly refused: string } {
  const keys = find(parseJson(text).root, ['auth', 'api_keys']);
  if (keys !== null && keys.kind !== 'list') return { refused: 'auth.api_keys is no list' };
  const element = Object.fromEntries(entryMembers(entry));
  const path: JSONPath = keys === null ? ['auth', 'api_keys'] : ['auth', 'api_keys', keys.items.length];
  const indent = /^([ \t]+)\S/m.exec(text)?.[1] ?? '  ';
  const edits = modify(text, path, keys === null ? [element] : element, {
    isArrayInsertion: keys !== null,
    formattingOptions: {
      insertSpaces: !indent.startsWith('\t'),
      tabSize: indent.startsWith('\t') ? 4 : indent.length,
      eol: text.includes('\r\n') ? '\r\n' : '\n',
    },
  });
  return applyEdits(text, edits);
}
