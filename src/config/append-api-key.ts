import { type ApiKeyEntry, entryMembers, isSameData } from './api-key-entry.ts';
import { editJson } from './edit-json.ts';
import { editToml } from './edit-toml.ts';
import { editYaml } from './edit-yaml.ts';
import { escapeReferences } from './interpolate.ts';
import { type ConfigFormat, parseConfigText } from './parse.ts';
import { checkKeyId } from './syntax.ts';
import { find, type MapNode, toPlain } from './tree.ts';

/** The changed text, or why it was not changed, as a sentence for the operator. */
export type Appended = string | { readonly refused: string };

const EDITORS: Readonly<Record<ConfigFormat, (text: string, entry: ApiKeyEntry) => Appended>> = {
  toml: editToml,
  yaml: editYaml,
  json: editJson,
};

/**
 * Adds a caller to the text of a configuration file, leaving every other byte as it is. What cannot be edited safely is
 * refused: the result is parsed again and must hold exactly the old data and the new entry.
 */
export function appendApiKey(text: string, format: ConfigFormat, entry: ApiKeyEntry): Appended {
  const before = parseConfigText(text, format);
  if (before.faults.length > 0) return { refused: `the file has faults: ${before.faults[0]?.message}` };
  const idFault = entry.id === '' ? 'must not be empty' : checkKeyId(entry.id);
  if (idFault !== null) return { refused: `the id ${idFault}` };
  if (idsOf(before.root).includes(entry.id)) return { refused: `an API key with the id ${JSON.stringify(entry.id)} exists already` };
  const mark = text.startsWith('\uFEFF') ? '\uFEFF' : '';
  const edited = EDITORS[format](text.slice(mark.length), escaped(entry));
  if (typeof edited !== 'string') return edited;
  return isExactly(edited, format, before.root, escaped(entry))
    ? mark + edited
    : { refused: 'the entry cannot be added without changing something else' };
}

/** An id may hold `${`; in the file that would be a reference. */
function escaped(entry: ApiKeyEntry): ApiKeyEntry {
  return { ...entry, id: escapeReferences(entry.id), allowedTools: entry.allowedTools?.map(escapeReferences) ?? null };
}

function idsOf(root: MapNode): readonly unknown[] {
  const keys = find(root, ['auth', 'api_keys']);
  if (keys?.kind !== 'list') return [];
  return keys.items.map((item) => {
    const id = item.kind === 'map' ? item.entries.get('id')?.node : undefined;
    return id?.kind === 'scalar' ? id.value : null;
  });
}

function isExactly(edited: string, format: ConfigFormat, before: MapNode, entry: ApiKeyEntry): boolean {
  const after = parseConfigText(edited, format);
  if (after.faults.length > 0) return false;
  const expected = toPlain(before) as { auth?: { api_keys?: unknown } | null };
  const auth = expected.auth ?? {};
  const keys = Array.isArray(auth.api_keys) ? auth.api_keys : [];
  return isSameData(toPlain(after.root), { ...expected, auth: { ...auth, api_keys: [...keys, Object.fromEntries(entryMembers(entry))] } });
}
