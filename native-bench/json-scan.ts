import { Bench } from 'tinybench';
import { isFailure, parseMessage } from '../src/mcp/parse.ts';
import { printTable } from './print-table.ts';

/**
 * Bounds: what reading a message costs. Ours finds the spans, checks UTF-8, grammar, depth and duplicate keys; JSON.parse
 * checks the grammar and builds a tree, after decoding the bytes; neither replaces the other.
 */
const BATCH = 50;
const LIMITS = { maxDepth: 64, maxKeys: 10_000, maxStringBytes: 1_048_576 };

function call(args: unknown): Buffer {
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 17, method: 'tools/call', params: { name: 'echo', arguments: args } }));
}

const MESSAGES: readonly (readonly [string, Buffer])[] = [
  ['ping', Buffer.from('{"jsonrpc":"2.0","id":1,"method":"ping"}')],
  ['tools/call, one short argument', call({ text: 'hello' })],
  ['tools/call, 100 keys', call(Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`field_${i}`, { id: i, ok: true }])))],
  ['tools/call, 64 KB text', call({ text: 'The quick brown fox jumps over the lazy dog. '.repeat(1_456) })],
  ['tools/call, 64 KB source with escapes', call({ text: 'if (a === "b") {\n\treturn `${c}`;\n}\n'.repeat(1_700) })],
];

const bench = new Bench({ time: 400, warmupTime: 100 });
for (const [name, bytes] of MESSAGES) {
  bench.add(`ours: ${name}, ${bytes.length} B`, () => {
    for (let i = 0; i < BATCH; i++) if (isFailure(parseMessage(bytes, LIMITS))) throw new Error('a valid message was refused');
  });
  bench.add(`JSON.parse: ${name}`, () => {
    for (let i = 0; i < BATCH; i++) JSON.parse(bytes.toString('utf8'));
  });
}
await bench.run();
printTable('reading a message', bench, BATCH);
