import { type Document, isAlias, isMap, isScalar, LineCounter, type Node, type Pair, parseAllDocuments, type YAMLError } from 'yaml';
import { type MapNode, mapNode, type ParsedTree, type Position, type SyntaxFault, type TreeNode } from './tree.ts';

/** Aliases multiply: a file may not grow past this many nodes when they are written out. */
const MAX_NODES = 200_000;

/** Reads one YAML 1.2 document (core schema). Duplicate keys, unknown tags and keys that are no strings are faults. */
export function parseYaml(text: string): ParsedTree {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { version: '1.2', prettyErrors: false, lineCounter: lines, stringKeys: false });
  if (!Array.isArray(documents)) return { root: mapNode(null), faults: [] };
  const second = documents[1];
  if (second !== undefined) {
    return { root: mapNode(null), faults: [{ message: 'only one document is allowed', at: at(lines, second.range[0]) }] };
  }
  const document = documents[0];
  return document === undefined ? { root: mapNode(null), faults: [] } : new YamlReader(document, lines).read();
}

function at(lines: LineCounter, offset: number): Position | null {
  const { line, col } = lines.linePos(offset);
  return line === 0 ? null : { line, column: col };
}

class YamlReader {
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;
  readonly #faults: SyntaxFault[] = [];
  /** The library searches the whole document for each alias. */
  readonly #targets = new Map<Node, Node>();
  #nodes = 0;

  constructor(document: Document.Parsed, lines: LineCounter) {
    this.#document = document;
    this.#lines = lines;
  }

  read(): ParsedTree {
    for (const error of [...this.#document.errors, ...this.#document.warnings]) this.#faults.push(this.#asFault(error));
    if (this.#document.directives?.yaml.explicit === true && this.#document.directives.yaml.version !== '1.2') {
      this.#faults.push({ message: 'only YAML 1.2 is read', at: { line: 1, column: 1 } });
    }
    if (this.#faults.length > 0 || this.#document.contents === null) return { root: mapNode(null), faults: this.#faults };
    const root = this.#node(this.#document.contents, []);
    if (root.kind === 'map') return { root, faults: this.#faults };
    return { root: mapNode(null), faults: [...this.#faults, { message: 'the file must hold a mapping of keys', at: root.at }] };
  }

  /** The library's messages may quote the file, and the file may hold secrets: what follows a quote is dropped. */
  #asFault(error: YAMLError): SyntaxFault {
    const message = error.message.split(/:|\s*["'`]/)[0] ?? error.code;
    return { message: `${message} (${error.code})`, at: at(this.#lines, error.pos[0]) };
  }

  #node(node: Node | null, parents: readonly Node[]): TreeNode {
    const place = node?.range ? at(this.#lines, node.range[0]) : null;
    this.#nodes += 1;
    if (this.#nodes > MAX_NODES) return this.#refuse('too many nodes, or aliases that multiply', place);
    if (node === null) return { kind: 'scalar', value: null, at: place, origin: null };
    if (isAlias(node)) return this.#alias(node, parents, place);
    if (isScalar(node)) return this.#scalar(node.value, place);
    const path = [...parents, node];
    if (isMap(node)) return this.#map(node.items as Pair<Node, Node | null>[], place, path);
    const items = (node as { items: (Node | null)[] }).items;
    return { kind: 'list', items: items.map((item) => this.#node(item, path)), at: place };
  }

  #alias(node: Node & { source: string }, parents: readonly Node[], place: Position | null): TreeNode {
    const known = this.#targets.get(node);
    const target = known ?? (isAlias(node) ? node.resolve(this.#document) : undefined);
    if (target === undefined || parents.includes(target)) return this.#refuse('alias that leads nowhere or to itself', place);
    this.#targets.set(node, target as Node);
    return this.#node(target as Node, parents);
  }

  #scalar(value: unknown, place: Position | null): TreeNode {
    if (value === null || typeof value === 'string' || typeof value === 'boolean')
      return { kind: 'scalar', value, at: place, origin: null };
    if (typeof value === 'number' || typeof value === 'bigint') return { kind: 'scalar', value: Number(value), at: place, origin: null };
    return this.#refuse('a value of this type is not understood', place);
  }

  #map(pairs: readonly Pair<Node, Node | null>[], place: Position | null, path: readonly Node[]): MapNode {
    const map = mapNode(place);
    for (const pair of pairs) {
      const key: unknown = isScalar(pair.key) ? pair.key.value : undefined;
      const keyAt = pair.key?.range ? at(this.#lines, pair.key.range[0]) : place;
      if (typeof key !== 'string') this.#faults.push({ message: 'keys must be plain strings', at: keyAt });
      else if (map.entries.has(key)) this.#faults.push({ message: `duplicate key "${key}"`, at: keyAt });
      else map.entries.set(key, { keyAt, node: this.#node(pair.value, path) });
    }
    return map;
  }

  #refuse(message: string, place: Position | null): TreeNode {
    if (this.#faults.length < 20) this.#faults.push({ message, at: place });
    return { kind: 'scalar', value: null, at: place, origin: null };
  }
}
