import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { parseSync } from 'oxc-parser';

/** The checkout's top folder. */
export const ROOT: string = join(import.meta.dirname, '..', '..');

/** A node of the syntax tree, as far as the checks look at it. */
export type Node = { readonly type: string; readonly start: number; readonly end: number } & Readonly<Record<string, unknown>>;

/** A parsed file; `path` is relative to the checkout. */
export interface Source {
  readonly path: string;
  readonly text: string;
  readonly program: Node;
}

/** What a file imports: a path relative to the checkout for its own files, the specifier for packages, null when it is computed. */
export interface Import {
  readonly target: string | null;
  readonly isOwnFile: boolean;
  readonly line: number;
}

/** Paths of all files below `folder` whose name ends in `suffix`, sorted; an absent folder has none. */
export function filesBelow(folder: string, suffix: string): string[] {
  let entries;
  try {
    entries = readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true });
  } catch {
    return [];
  }
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith(suffix))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .toSorted();
}

/** Parses a text; throws on a syntax error, so that nothing is passed over unread. */
export function parse(path: string, text: string): Source {
  const { program, errors } = parseSync(path, text);
  const first = errors[0];
  if (first !== undefined) throw new Error(`${path}: ${first.message}`);
  return { path, text, program: program as unknown as Node };
}

export function readSource(path: string): Source {
  return parse(path, readFileSync(join(ROOT, path), 'utf8'));
}

export function lineOf(source: Source, node: Node): number {
  return source.text.slice(0, node.start).split('\n').length;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string';
}

/** Calls `visit` for every node of the tree, parents first. */
export function walk(node: Node, visit: (node: Node) => void): void {
  visit(node);
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) walk(child, visit);
  }
}

/** The value of a string literal or of a template without substitutions; for others the leading fixed part, or null. */
export function leadingText(node: unknown): string | null {
  if (!isNode(node)) return null;
  if (node.type === 'Literal') return typeof node['value'] === 'string' ? node['value'] : null;
  if (node.type !== 'TemplateLiteral') return null;
  const first = (node['quasis'] as readonly { value: { cooked: string } }[])[0];
  return first?.value.cooked ?? null;
}

const IMPORTING: ReadonlySet<string> = new Set([
  'ImportDeclaration',
  'ExportNamedDeclaration',
  'ExportAllDeclaration',
  'ImportExpression',
  'TSImportType',
]);

/** The node that names what is imported, for each way to import; undefined when the node imports nothing. */
function specifierOf(node: Node): unknown {
  if (IMPORTING.has(node.type)) return node['source'] ?? node['argument'] ?? undefined;
  if (node.type !== 'CallExpression' || !isNode(node['callee'])) return undefined;
  const isRequire = node['callee'].type === 'Identifier' && node['callee']['name'] === 'require';
  return isRequire ? (node['arguments'] as unknown[])[0] : undefined;
}

/** Everything a file imports, for its types as well as for its values, statically and dynamically. */
export function importsOf(source: Source): Import[] {
  const found: Import[] = [];
  walk(source.program, (node) => {
    const specifier = specifierOf(node);
    if (specifier === undefined) return;
    const literal = isNode(specifier) && specifier.type === 'TSLiteralType' ? specifier['literal'] : specifier;
    const text = isNode(literal) && literal.type === 'Literal' ? leadingText(literal) : null;
    const isOwnFile = text !== null && text.startsWith('.');
    const target = isOwnFile ? join(dirname(source.path), text) : text;
    found.push({ target, isOwnFile, line: lineOf(source, node) });
  });
  return found;
}
