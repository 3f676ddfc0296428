import { resolve as resolvePath } from 'node:path';
import { type Environment, interpolate, MASK } from './interpolate.ts';
import type { Problems } from './problems.ts';
import { readSecretFile } from './read-text.ts';
import { defaultOf, maskText, resolveScalar, textFault } from './resolve-scalar.ts';
import { isScalar, namesIn, SCHEMA, twinOf } from './schema.ts';
import type { Field, Fields, GroupListField, TextField, TextListField, TextMapField } from './schema-types.ts';
import { type Entry, Section, type Value } from './section.ts';
import { nearest } from './suggest.ts';
import { type MapNode, mapNode, type TreeNode } from './tree.ts';

/** What the walk over the tree needs and fills. */
export interface ResolveContext {
  readonly env: Environment;
  /** Directory that relative paths start from: the configuration file's. */
  readonly baseDir: string;
  readonly isHardened: boolean;
  readonly problems: Problems;
  /** Environment variables that the file refers to. */
  readonly used: Set<string>;
}

const NOT_AVAILABLE = 'is recognised but not available in this version';

/**
 * Turns the tree into typed values: types, bounds, defaults, references, secret files. Every fault is recorded and the
 * faulty value replaced by its default, so that the checks behind this one can still look at the rest.
 */
export function resolveTree(root: MapNode, context: ResolveContext): Section {
  return resolveFields(SCHEMA.fields, root, '', context);
}

function resolveFields(fields: Fields, node: MapNode, path: string, context: ResolveContext): Section {
  refuseUnknown(fields, node, path, context);
  const entries = new Map<string, Entry>();
  for (const [name, field] of Object.entries(fields)) entries.set(name, resolveField(name, field, node, below(path, name), context));
  return new Section(path, fields, entries);
}

function resolveField(name: string, field: Field, parent: MapNode, path: string, context: ResolveContext): Entry {
  const node = parent.entries.get(name)?.node;
  const twin = twinOf(name, field);
  const twinNode = twin === null ? undefined : parent.entries.get(twin)?.node;
  if (twin !== null && node !== undefined && twinNode !== undefined && field.kind !== 'text_map') {
    context.problems.error(path, `is given together with ${twin}: remove one`);
  }
  const entry = read(field, node, twinNode, path, context);
  if (entry.isSet && !field.isAvailable && !isInert(field, entry.value)) context.problems.error(path, NOT_AVAILABLE);
  return entry;
}

function below(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

function read(field: Field, node: TreeNode | undefined, twin: TreeNode | undefined, path: string, context: ResolveContext): Entry {
  const isSet = node !== undefined || twin !== undefined;
  const plain = (value: Value, masked: Value = null): Entry => ({ field, value, masked, isSet });
  if (field.kind === 'group') return plain(readGroup(field.fields, node, path, context));
  if (field.kind === 'group_list') return plain(readGroupList(field, node, path, context));
  if (field.kind === 'text_map') return { field, isSet, ...readMap(field, node, twin, path, context) };
  if (field.kind === 'text_list') return { field, isSet, ...readList(field, node, twin, path, context) };
  if (!isScalar(field)) return plain(null);
  if (node === undefined && twin !== undefined && field.kind === 'text') return plain(readTwin(field, twin, path, context), MASK);
  if (node === undefined) return plain(missing(field, path, context));
  const result = resolveScalar(field, node, path, context);
  return plain(result.isFaulty ? defaultOf(field, context.isHardened) : result.value, result.masked);
}

function missing(field: Parameters<typeof defaultOf>[0], path: string, context: ResolveContext): Value {
  if ('isRequired' in field && field.isRequired === true) context.problems.error(path, 'is missing');
  return defaultOf(field, context.isHardened);
}

function readGroup(fields: Fields, node: TreeNode | undefined, path: string, context: ResolveContext): Section {
  if (node !== undefined && node.kind !== 'map' && !isEmptyNode(node)) context.problems.error(path, 'must be a table');
  return resolveFields(fields, node?.kind === 'map' ? node : mapNode(null), path, context);
}

/** A YAML key with nothing behind it. */
function isEmptyNode(node: TreeNode): boolean {
  return node.kind === 'scalar' && node.value === null;
}

function readGroupList(field: GroupListField, node: TreeNode | undefined, path: string, context: ResolveContext): readonly Section[] {
  if (node === undefined || isEmptyNode(node)) return [];
  if (node.kind === 'map' && field.isSingleAllowed) return [resolveFields(field.fields, node, path, context)];
  if (node.kind !== 'list') {
    context.problems.error(path, 'must be a list of tables');
    return [];
  }
  return node.items.map((item, index) =>
    readGroup(field.fields, item.kind === 'map' ? item : refuseItem(path, index, context), `${path}[${index}]`, context),
  );
}

function refuseItem(path: string, index: number, context: ResolveContext): MapNode {
  context.problems.error(`${path}[${index}]`, 'must be a table');
  return mapNode(null);
}

function readList(
  field: TextListField,
  node: TreeNode | undefined,
  twin: TreeNode | undefined,
  path: string,
  context: ResolveContext,
): Pick<Entry, 'value' | 'masked'> {
  if (node === undefined && twin !== undefined) return { value: readTwinLines(field, twin, path, context), masked: [MASK] };
  if (node === undefined) return { value: field.default, masked: null };
  if (node.kind !== 'list') {
    context.problems.error(path, 'must be a list of texts');
    return { value: field.default, masked: null };
  }
  const items = node.items.map((item, index) => readItem(field, item, `${path}[${index}]`, field.isEmptyItemAllowed === true, context));
  // A faulty one keeps its place, so that what is said about those behind it names them.
  const values = items.map((item) => item?.value ?? '');
  return { value: values, masked: items.flatMap((item) => (item === null ? [] : [item.masked ?? item.value])) };
}

type TextItem = { readonly value: string; readonly masked: string | null };

/** One text of a list or table; null when it is faulty. */
function readItem(
  field: TextListField | TextMapField,
  node: TreeNode,
  path: string,
  isEmptyAllowed: boolean,
  context: ResolveContext,
): TextItem | null {
  const fail = (message: string): null => {
    context.problems.error(path, message);
    return null;
  };
  if (node.kind !== 'scalar' || typeof node.value !== 'string') return fail('must be a text');
  const text = interpolate(node.value, context.env, context.used);
  for (const fault of text.faults) fail(fault);
  if (text.faults.length > 0) return null;
  const fault = textFault({ ...field, isEmptyAllowed }, text.value);
  return fault === null ? { value: text.value, masked: maskText(field.sensitivity, text) } : fail(fault);
}

function readMap(
  field: TextMapField,
  node: TreeNode | undefined,
  twin: TreeNode | undefined,
  path: string,
  context: ResolveContext,
): Pick<Entry, 'value' | 'masked'> {
  const value = new Map<string, string>();
  const masked = new Map<string, string>();
  for (const [name, item] of mapItems(node, path, context)) {
    const text = checkItemName(field, name, `${path}.${name}`, context) ? readItem(field, item, `${path}.${name}`, true, context) : null;
    if (text !== null) value.set(name, text.value);
    if (text !== null) masked.set(name, text.masked ?? text.value);
  }
  for (const [name, item] of mapItems(twin, `${path}_file`, context)) {
    const itemPath = `${path}_file.${name}`;
    if (value.has(name)) context.problems.error(itemPath, `is given together with ${path}.${name}: remove one`);
    const text = checkItemName(field, name, itemPath, context) ? readTwinText(field, item, itemPath, context) : null;
    if (text !== null) value.set(name, text);
    masked.set(name, MASK);
  }
  return { value, masked };
}

function mapItems(node: TreeNode | undefined, path: string, context: ResolveContext): readonly (readonly [string, TreeNode])[] {
  if (node === undefined || isEmptyNode(node)) return [];
  if (node.kind === 'map') return [...node.entries].map(([name, entry]) => [name, entry.node] as const);
  context.problems.error(path, 'must be a table of texts');
  return [];
}

function checkItemName(field: TextMapField, name: string, path: string, context: ResolveContext): boolean {
  const fault = name === '' ? 'must not be empty' : (field.checkName?.(name) ?? null);
  if (fault !== null) context.problems.error(path, `${JSON.stringify(name.slice(0, 60))} ${fault}`);
  return fault === null;
}

/** The secret in the file that `twin` names; the default when it cannot be had. */
function readTwin(field: TextField, twin: TreeNode, path: string, context: ResolveContext): string | null {
  return readTwinText(field, twin, `${path}_file`, context) ?? field.default;
}

function readTwinLines(field: TextListField, twin: TreeNode, path: string, context: ResolveContext): readonly string[] {
  const text = readTwinText({}, twin, `${path}_file`, context);
  const lines = (text ?? '').split(/\r?\n/).filter((line) => line !== '');
  for (const [index, line] of lines.entries()) {
    const fault = textFault(field, line);
    if (fault !== null) context.problems.error(`${path}_file`, `names a file whose line ${index + 1} ${fault}`);
  }
  return lines;
}

function readTwinText(field: Parameters<typeof textFault>[0], twin: TreeNode, path: string, context: ResolveContext): string | null {
  const name = resolveScalar(PATH_FIELD, twin, path, context);
  if (typeof name.value !== 'string') return null;
  const read = readSecretFile(resolvePath(context.baseDir, name.value));
  const fault = 'fault' in read ? read.fault : textFault(field, read.text);
  if (fault !== null) context.problems.error(path, `names a file that ${fault}`);
  return 'text' in read && fault === null ? read.text : null;
}

const PATH_FIELD: TextField = {
  kind: 'text',
  description: 'Path of a file.',
  isAvailable: true,
  inert: [],
  default: null,
  sensitivity: 'plain',
};

function isInert(field: Field, value: Value): boolean {
  if (field.kind === 'group' || field.kind === 'list_map' || field.kind === 'any') return field.kind === 'group';
  if (Array.isArray(value)) return value.length === 0;
  if (value instanceof Map) return value.size === 0;
  return value === null || field.inert.includes(value);
}

function refuseUnknown(fields: Fields, node: MapNode, path: string, context: ResolveContext): void {
  const known = namesIn(fields);
  for (const name of node.entries.keys()) {
    if (!known.includes(name)) context.problems.error(below(path, printable(name)), `is no known key${suggestion(name, known, path)}`);
  }
}

/** Names the key that was probably meant: one of this table, or one of the same name elsewhere. */
function suggestion(name: string, known: readonly string[], path: string): string {
  const best = nearest(name, known);
  const elsewhere = best === null || best.edits > Math.max(2, name.length / 3) ? pathsOf(name) : [];
  if (elsewhere.length > 0) return `; did you mean ${elsewhere.slice(0, 3).join(' or ')}?`;
  return best === null ? '' : `; did you mean ${below(path, best.name)}?`;
}

/** Where else the schema has a key of this very name. */
function pathsOf(name: string, fields: Fields = SCHEMA.fields, path = ''): readonly string[] {
  return Object.entries(fields).flatMap(([key, field]) => {
    const here = below(path, key);
    const inside = 'fields' in field ? pathsOf(name, field.fields, field.kind === 'group_list' ? `${here}[]` : here) : [];
    return key === name ? [here, ...inside] : inside;
  });
}

function printable(name: string): string {
  return /^[A-Za-z0-9_$-]{1,80}$/.test(name) ? name : JSON.stringify(name.slice(0, 80));
}
