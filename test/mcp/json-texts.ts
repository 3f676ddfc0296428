import fc from 'fast-check';

/** A JSON value whose objects are lists of members, so that keys can repeat. */
export type Tree = null | boolean | number | string | readonly Tree[] | { readonly members: readonly (readonly [string, Tree])[] };

const WHITE = fc.constantFrom('', '', '', ' ', '\n', '\r\n', '\t ');

/** Trees with few distinct short keys: repeated ones are frequent. */
export const trees: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.string({ unit: 'grapheme' }),
    ),
    fc.array(tie('tree'), { maxLength: 5 }),
    fc.record({ members: fc.array(fc.tuple(fc.constantFrom('a', 'b', 'id', 'é', '', '😀', 'a/b'), tie('tree')), { maxLength: 4 }) }),
  ),
})).tree;

function escapeUnits(text: string): string {
  return Array.from({ length: text.length }, (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`).join('');
}

/** A JSON string for `text`, with some characters escaped though they need not be. */
export function writeString(text: string, isEscaped: (index: number) => boolean): string {
  const chars = Array.from(text, (char, index) => (isEscaped(index) ? escapeUnits(char) : JSON.stringify(char).slice(1, -1)));
  return `"${chars.join('')}"`;
}

/** Writes a tree as JSON text, with white space and escapes drawn at random. */
export function textOf(tree: Tree, random: fc.GeneratorValue): string {
  const white = (): string => random(() => WHITE);
  const string = (text: string): string => writeString(text, () => random(fc.nat, { max: 5 }) === 0);
  const write = (node: Tree): string => {
    if (typeof node === 'string') return string(node);
    if (node === null || typeof node !== 'object') return JSON.stringify(node);
    if ('members' in node) {
      const members = node.members.map(([key, value]) => `${white()}${string(key)}${white()}:${white()}${write(value)}${white()}`);
      return `{${members.length === 0 ? white() : members.join(',')}}`;
    }
    return `[${node.length === 0 ? white() : node.map((item) => `${white()}${write(item)}${white()}`).join(',')}]`;
  };
  return `${white()}${write(tree)}${white()}`;
}

/** Whether any object of the tree repeats a key. */
export function repeatsKey(tree: Tree): boolean {
  if (tree === null || typeof tree !== 'object') return false;
  if (!('members' in tree)) return tree.some(repeatsKey);
  const keys = tree.members.map(([key]) => key);
  return new Set(keys).size < keys.length || tree.members.some(([, value]) => repeatsKey(value));
}

/** Open containers at the deepest point. */
export function depthOf(tree: Tree): number {
  if (tree === null || typeof tree !== 'object') return 0;
  const inner = 'members' in tree ? tree.members.map(([, value]) => value) : tree;
  return 1 + Math.max(0, ...inner.map(depthOf));
}

/** Keys of all objects together. */
export function keysOf(tree: Tree): number {
  if (tree === null || typeof tree !== 'object') return 0;
  if (!('members' in tree)) return tree.reduce<number>((sum, item) => sum + keysOf(item), 0);
  return tree.members.reduce<number>((sum, [, value]) => sum + 1 + keysOf(value), 0);
}

/** Bytes with a few of them replaced, removed or added: nearly the text, mostly broken. */
export function mutated(text: fc.Arbitrary<string>): fc.Arbitrary<Buffer> {
  const change = fc.record({ at: fc.nat(), remove: fc.nat({ max: 2 }), add: fc.uint8Array({ maxLength: 2 }) });
  const telling = fc.record({
    at: fc.nat(),
    remove: fc.nat({ max: 1 }),
    add: fc.constantFrom(...'{}[]",:\\eE+-.0 \n\u0000').map((char) => Uint8Array.from(Buffer.from(char))),
  });
  return fc.tuple(text, fc.array(fc.oneof(change, telling), { minLength: 1, maxLength: 3 })).map(([original, changes]) => {
    let bytes = Buffer.from(original);
    for (const { at, remove, add } of changes) {
      const start = at % (bytes.length + 1);
      bytes = Buffer.concat([bytes.subarray(0, start), add, bytes.subarray(start + remove)]);
    }
    return bytes;
  });
}

/** What the platform's own parser says of bytes: strict UTF-8, then JSON. */
export function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
    return true;
  } catch {
    return false;
  }
}

/** Shortest of some runs, in milliseconds. */
export function shortestMs(runs: number, work: () => void): number {
  let shortest = Infinity;
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    work();
    shortest = Math.min(shortest, performance.now() - start);
  }
  return shortest;
}

/** Sixteen times the input: 16 when the work is linear, 256 when it is quadratic. Between them, with room for a busy machine. */
export const LINEAR_GROWTH = 100;

/** How many times longer the work on an input sixteen times as large takes. `prepare` gets a size and returns the work. */
export function growthOf(prepare: (size: number) => () => void, size: number): number {
  const [small, large] = [prepare(size), prepare(size * 16)];
  small();
  large();
  return shortestMs(7, large) / shortestMs(7, small);
}
