/** A place in the configuration file, both 1-based. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/**
 * The configuration as written, whatever its syntax: TOML, YAML and JSON all become this, so that everything behind
 * the parsers is the same for the three. Maps are real maps: `__proto__` is a key like any other.
 */
export type TreeNode = MapNode | ListNode | ScalarNode;

export interface MapNode {
  readonly kind: 'map';
  readonly entries: Map<string, TreeEntry>;
  readonly at: Position | null;
}

export interface TreeEntry {
  /** Of the key; null when the value came from an environment variable or a flag. */
  readonly keyAt: Position | null;
  readonly node: TreeNode;
}

export interface ListNode {
  readonly kind: 'list';
  readonly items: TreeNode[];
  readonly at: Position | null;
}

export interface ScalarNode {
  readonly kind: 'scalar';
  readonly value: string | number | boolean | null;
  readonly at: Position | null;
  /** Null: the file. Else what set it: `MCP_GUARD_SERVER_PORT`, `--port`. */
  readonly origin: string | null;
}

/** A fault found while parsing. */
export interface SyntaxFault {
  readonly message: string;
  readonly at: Position | null;
}

/** What a parser returns: a tree with everything that could be read, and all faults found. */
export interface ParsedTree {
  readonly root: MapNode;
  readonly faults: readonly SyntaxFault[];
}

export function mapNode(at: Position | null): MapNode {
  return { kind: 'map', entries: new Map(), at };
}

/** Where a path points: the deepest node that exists, and its key's position. */
export interface Located {
  readonly at: Position | null;
  readonly origin: string | null;
}

/** Splits `a.b[2].c` into its steps. Steps that no node answers to simply find nothing. */
export function pathSteps(path: string): (string | number)[] {
  const steps: (string | number)[] = [];
  for (const match of path.matchAll(/\[(\d+)\]|([^.[\]]+)/g)) {
    steps.push(match[1] === undefined ? (match[2] ?? '') : Number(match[1]));
  }
  return steps;
}

/** The position of what `path` names, or of its nearest ancestor that the file holds. */
export function locate(root: MapNode, path: string): Located {
  let node: TreeNode = root;
  let found: Located = { at: null, origin: null };
  for (const step of pathSteps(path)) {
    const next = stepInto(node, step);
    if (next === null) break;
    node = next.node;
    found = { at: next.keyAt ?? node.at, origin: node.kind === 'scalar' ? node.origin : null };
  }
  return found;
}

function stepInto(node: TreeNode, step: string | number): TreeEntry | null {
  if (node.kind === 'map') return node.entries.get(String(step)) ?? null;
  if (node.kind !== 'list' || typeof step !== 'number') return null;
  const item = node.items[step];
  return item === undefined ? null : { keyAt: item.at, node: item };
}

/** The node at a dotted path of map keys, or null. */
export function find(root: MapNode, keys: readonly string[]): TreeNode | null {
  let node: TreeNode = root;
  for (const key of keys) {
    const next: TreeEntry | undefined = node.kind === 'map' ? node.entries.get(key) : undefined;
    if (next === undefined) return null;
    node = next.node;
  }
  return node;
}

/** Sets a scalar from outside the file, creating the tables on the way; false when a value stands where a table belongs. */
export function setScalar(root: MapNode, keys: readonly string[], scalar: ScalarNode): boolean {
  let node: MapNode = root;
  for (const key of keys.slice(0, -1)) {
    const entry: TreeEntry | undefined = node.entries.get(key);
    const next: TreeNode = entry === undefined ? mapNode(null) : entry.node;
    if (next.kind !== 'map') return false;
    if (entry === undefined) node.entries.set(key, { keyAt: null, node: next });
    node = next;
  }
  node.entries.set(keys.at(-1) ?? '', { keyAt: null, node: scalar });
  return true;
}

/** Plain data of a tree, for comparing two files; maps become objects without a prototype. */
export function toPlain(node: TreeNode): unknown {
  if (node.kind === 'scalar') return node.value;
  if (node.kind === 'list') return node.items.map(toPlain);
  const plain: Record<string, unknown> = Object.create(null);
  for (const [key, entry] of node.entries) plain[key] = toPlain(entry.node);
  return plain;
}
