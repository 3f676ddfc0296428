import { filesBelow, leadingText, lineOf, readSource, walk } from './sources.ts';
import type { Node, Source } from './sources.ts';

/** A call of `it`, `test`, `describe` or `suite` in a test file. */
export interface TestCall {
  readonly path: string;
  readonly line: number;
  readonly kind: 'test' | 'suite';
  /** Words behind the dots: `each`, `skip`, `only`, and the keys of an options object. */
  readonly modifiers: readonly string[];
  /** The title, or its fixed beginning; null when it is computed. */
  readonly title: string | null;
}

const KINDS: Readonly<Record<string, TestCall['kind']>> = { it: 'test', test: 'test', describe: 'suite', suite: 'suite' };

interface Callee {
  readonly kind: TestCall['kind'];
  readonly modifiers: readonly string[];
}

/** Follows `it.concurrent.each(…)` down to its root; null when the root is no test function. */
function calleeOf(node: Node): Callee | null {
  if (node.type === 'Identifier') {
    const kind = KINDS[String(node['name'])];
    return kind === undefined ? null : { kind, modifiers: [] };
  }
  if (node.type === 'CallExpression') return calleeOf(node['callee'] as Node);
  if (node.type === 'TaggedTemplateExpression') return calleeOf(node['tag'] as Node);
  if (node.type !== 'MemberExpression') return null;
  const inner = calleeOf(node['object'] as Node);
  const property = node['property'] as Node;
  return inner === null ? null : { ...inner, modifiers: [...inner.modifiers, String(property['name'] ?? property['value'])] };
}

/** Keys of an object literal among the arguments. */
function optionKeys(args: readonly Node[]): string[] {
  const properties = args.filter((argument) => argument.type === 'ObjectExpression').flatMap((options) => options['properties'] as Node[]);
  return properties.map((property) => String((property['key'] as Node | undefined)?.['name']));
}

/** Test calls of one parsed file. `it.each(table)` alone is the beginning of a call and has no title of its own. */
export function testCallsIn(source: Source): TestCall[] {
  const calls: TestCall[] = [];
  walk(source.program, (node) => {
    if (node.type !== 'CallExpression') return;
    const callee = calleeOf(node['callee'] as Node);
    const args = node['arguments'] as readonly Node[];
    const isTable =
      (node['callee'] as Node).type === 'MemberExpression' && ['each', 'for', 'skipIf', 'runIf'].includes(callee?.modifiers.at(-1) ?? '');
    if (callee === null || isTable) return;
    const modifiers = [...callee.modifiers, ...optionKeys(args)];
    calls.push({ path: source.path, line: lineOf(source, node), kind: callee.kind, modifiers, title: leadingText(args[0]) });
  });
  return calls;
}

/** Test calls of the whole suite. */
export function allTestCalls(): TestCall[] {
  return filesBelow('test', '.test.ts').flatMap((path) => testCallsIn(readSource(path)));
}
