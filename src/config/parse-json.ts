import { type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser';
import { type MapNode, mapNode, type ParsedTree, type Position, type SyntaxFault, type TreeNode } from './tree.ts';

/** Reads JSON (RFC 8259) with `//` and block comments; nothing else is relaxed. Duplicate keys are faults. */
export function parseJson(text: string): ParsedTree {
  const lines = lineStarts(text);
  const errors: ParseError[] = [];
  try {
    const root = parseTree(text, errors, { disallowComments: false, allowTrailingComma: false, allowEmptyContent: false });
    const faults = errors.map(
      (error): SyntaxFault => ({ message: words(printParseErrorCode(error.error)), at: positionAt(lines, error.offset) }),
    );
    if (faults.length > 0 || root === undefined) return { root: mapNode(null), faults };
    return new JsonReader(lines).read(root);
  } catch (error) {
    if (error instanceof RangeError) return { root: mapNode(null), faults: [{ message: 'nested too deeply', at: null }] };
    throw error;
  }
}

/** `CommaExpected` → `comma expected`. */
function words(code: string): string {
  return code.replace(/(?<!^)([A-Z])/g, ' $1').toLowerCase();
}

function lineStarts(text: string): readonly number[] {
  const starts = [0];
  for (const match of text.matchAll(/\n|\r(?!\n)/g)) starts.push(match.index + 1);
  return starts;
}

function positionAt(starts: readonly number[], offset: number): Position {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((starts[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 };
}

class JsonReader {
  readonly #lines: readonly number[];
  readonly #faults: SyntaxFault[] = [];

  constructor(lines: readonly number[]) {
    this.#lines = lines;
  }

  read(node: Node): ParsedTree {
    const root = this.#node(node);
    if (root.kind === 'map') return { root, faults: this.#faults };
    return { root: mapNode(null), faults: [...this.#faults, { message: 'the file must hold an object', at: root.at }] };
  }

  #node(node: Node): TreeNode {
    const at = positionAt(this.#lines, node.offset);
    if (node.type === 'object') return this.#map(node.children ?? [], at);
    if (node.type === 'array') return { kind: 'list', items: (node.children ?? []).map((item) => this.#node(item)), at };
    return { kind: 'scalar', value: node.value as string | number | boolean | null, at, origin: null };
  }

  #map(properties: readonly Node[], at: Position): MapNode {
    const map = mapNode(at);
    for (const property of properties) {
      const [key, value] = property.children ?? [];
      if (key === undefined || value === undefined) continue;
      const keyAt = positionAt(this.#lines, key.offset);
      const name = String(key.value);
      if (map.entries.has(name)) this.#faults.push({ message: `duplicate key "${name}"`, at: keyAt });
      else map.entries.set(name, { keyAt, node: this.#node(value) });
    }
    return map;
  }
}
