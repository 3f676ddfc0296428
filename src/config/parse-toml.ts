import { type AST, ParseError, parseTOML } from 'toml-eslint-parser';
import { type ListNode, type MapNode, mapNode, type ParsedTree, type Position, type SyntaxFault, type TreeNode } from './tree.ts';

/** Reads TOML 1.0. The parser stops at its first fault; redefined keys and tables are faults. */
export function parseToml(text: string): ParsedTree {
  try {
    return new TomlReader().read(parseTOML(text, { tomlVersion: '1.0.0' }));
  } catch (error) {
    return { root: mapNode(null), faults: [asFault(error)] };
  }
}

function asFault(error: unknown): SyntaxFault {
  if (error instanceof ParseError) {
    return { message: lowerFirst(error.message), at: { line: error.lineNumber, column: error.column + 1 } };
  }
  if (error instanceof RangeError) return { message: 'nested too deeply', at: null };
  throw error;
}

function lowerFirst(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1);
}

class TomlReader {
  readonly #root: MapNode = mapNode(null);
  readonly #faults: SyntaxFault[] = [];

  read(program: AST.TOMLProgram): ParsedTree {
    for (const statement of program.body[0].body) {
      if (statement.type === 'TOMLTable') this.#table(statement);
      else this.#pair(this.#root, statement);
    }
    return { root: this.#root, faults: this.#faults };
  }

  #table(table: AST.TOMLTable): void {
    const keys = table.key.keys;
    const last = keys.at(-1);
    const parent = this.#descend(this.#root, keys.slice(0, -1));
    if (parent === null || last === undefined) return;
    const target = table.kind === 'array' ? this.#newItem(parent, last) : this.#child(parent, last);
    if (target === null) return;
    for (const pair of table.body) this.#pair(target, pair);
  }

  #pair(target: MapNode, pair: AST.TOMLKeyValue): void {
    const last = pair.key.keys.at(-1);
    const parent = this.#descend(target, pair.key.keys.slice(0, -1));
    if (parent === null || last === undefined) return;
    const name = nameOf(last);
    if (parent.entries.has(name)) this.#fault(`duplicate key "${name}"`, last);
    else parent.entries.set(name, { keyAt: positionOf(last), node: this.#value(pair.value) });
  }

  #descend(from: MapNode, keys: readonly TomlKeyPart[]): MapNode | null {
    let node: MapNode | null = from;
    for (const key of keys) {
      if (node === null) return null;
      node = this.#child(node, key);
    }
    return node;
  }

  /** The table `key` of `parent`, made when missing; of an array of tables it is the newest element (TOML 1.0, "Array of Tables"). */
  #child(parent: MapNode, key: TomlKeyPart): MapNode | null {
    const name = nameOf(key);
    const known = parent.entries.get(name)?.node;
    if (known === undefined) {
      const made = mapNode(positionOf(key));
      parent.entries.set(name, { keyAt: positionOf(key), node: made });
      return made;
    }
    const table = known.kind === 'list' ? known.items.at(-1) : known;
    if (table?.kind === 'map') return table;
    this.#fault(`"${name}" is no table`, key);
    return null;
  }

  #newItem(parent: MapNode, key: TomlKeyPart): MapNode | null {
    const name = nameOf(key);
    const known = parent.entries.get(name)?.node;
    if (known !== undefined && known.kind !== 'list') {
      this.#fault(`"${name}" is no array of tables`, key);
      return null;
    }
    const list: ListNode = known ?? { kind: 'list', items: [], at: positionOf(key) };
    if (known === undefined) parent.entries.set(name, { keyAt: positionOf(key), node: list });
    const item = mapNode(positionOf(key));
    list.items.push(item);
    return item;
  }

  #value(node: AST.TOMLContentNode): TreeNode {
    const at = positionOf(node);
    if (node.type === 'TOMLArray') return { kind: 'list', items: node.elements.map((item) => this.#value(item)), at };
    if (node.type === 'TOMLInlineTable') {
      const table = mapNode(at);
      for (const pair of node.body) this.#pair(table, pair);
      return table;
    }
    // Dates stay as written: the one key that takes a date reads RFC 3339 text in all three syntaxes.
    const value = 'datetime' in node ? node.datetime : node.value;
    return { kind: 'scalar', value: value as string | number | boolean, at, origin: null };
  }

  #fault(message: string, node: AST.TOMLNode): void {
    this.#faults.push({ message, at: positionOf(node) });
  }
}

type TomlKeyPart = AST.TOMLBare | AST.TOMLQuoted;

function nameOf(key: TomlKeyPart): string {
  return key.type === 'TOMLBare' ? key.name : key.value;
}

function positionOf(node: AST.TOMLNode): Position {
  return { line: node.loc.start.line, column: node.loc.start.column + 1 };
}
