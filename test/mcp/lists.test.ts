import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { filterTools } from '../../src/mcp/lists.ts';
import { growthOf, LINEAR_GROWTH, mutated } from './json-texts.ts';

function filter(reply: string, keep: (tool: string) => boolean): string | null {
  return filterTools(Buffer.from(reply), keep)?.toString() ?? null;
}

function list(tools: string, rest = ''): string {
  return `{"jsonrpc":"2.0","id":1,"result":{"tools":${tools}${rest}}}`;
}

const never = (): boolean => false;
const notB = (tool: string): boolean => tool !== 'b';

describe('filterTools', () => {
  it('drops tools and leaves everything else byte for byte', () => {
    const big = '123456789012345678901234567890';
    const reply = `{ "id":${big}, "result": { "nextCursor":"c\\u0041", "tools" : [ {"name":"a","x":1.0} , {"name":"b"},{"inputSchema":{"name":"b"},"name":"c"} ] , "_meta":{"n":${big}} }, "jsonrpc":"2.0"}`;
    expect(filter(reply, notB)).toBe(
      `{ "id":${big}, "result": { "nextCursor":"c\\u0041", "tools" : [{"name":"a","x":1.0},{"inputSchema":{"name":"b"},"name":"c"}] , "_meta":{"n":${big}} }, "jsonrpc":"2.0"}`,
    );
  });

  it('returns the reply itself when every tool is kept', () => {
    const reply = Buffer.from(list('[{"name":"a"}]'));
    expect(filterTools(reply, () => true)).toBe(reply);
    const empty = Buffer.from(list('[ ]', ',"nextCursor":"x"'));
    expect(filterTools(empty, never)).toBe(empty);
  });

  it('leaves an empty list when none is kept', () => {
    expect(filter(list('[{"name":"a"},{"name":"b"}]', ',"nextCursor":"x"'), never)).toBe(list('[]', ',"nextCursor":"x"'));
  });

  it('asks about decoded names', () => {
    const asked: string[] = [];
    filter(list('[{"n\\u0061me":"\\u0062"},{"name":"😀\\ud83d\\ude00\\/"}]'), (tool) => asked.push(tool) > 0);
    expect(asked).toEqual(['b', '😀😀/']);
    expect(filter(list('[{"name":"\\u0062"}]'), notB)).toBe(list('[]'));
  });

  it('returns an error response unchanged', () => {
    const reply = '{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"no"}}';
    expect(filter(reply, never)).toBe(reply);
  });

  it.each([
    ['broken JSON', '{"jsonrpc":"2.0","id":1,"result":{"tools":[}}'],
    ['a list', '[]'],
    ['no result', '{"jsonrpc":"2.0","id":1}'],
    ['a result that is null', '{"jsonrpc":"2.0","id":1,"result":null}'],
    ['a result without tools', '{"jsonrpc":"2.0","id":1,"result":{}}'],
    ['tools that are an object', list('{"name":"a"}')],
    ['tools that are null', list('null')],
    ['a tool that is a string', list('["a"]')],
    ['a tool without name', list('[{"title":"a"}]')],
    ['a tool whose name is a number', list('[{"name":1}]')],
    ['a name with a lone surrogate', list('[{"name":"\\ud800"}]')],
    ['two lists', list('[]', ',"tools":[{"name":"b"}]')],
    ['two lists, one escaped', list('[]', ',"tool\\u0073":[{"name":"b"}]')],
    ['a second list in another case', list('[]', ',"Tools":[{"name":"b"}]')],
    ['two results', '{"jsonrpc":"2.0","id":1,"result":{"tools":[]},"result":{"tools":[{"name":"b"}]}}'],
    ['a result in another case', '{"jsonrpc":"2.0","id":1,"result":{"tools":[]},"Result":{"tools":[{"name":"b"}]}}'],
    ['a tool with two names', list('[{"name":"a","name":"b"}]')],
    ['a tool with a name in another case', list('[{"name":"a","Name":"b"}]')],
    ['a tool with a name that ends in NUL', list('[{"name":"a","name\\u0000":"b"}]')],
    ['a result and an error', '{"jsonrpc":"2.0","id":1,"result":{"tools":[]},"error":{"code":1,"message":""}}'],
  ])('gives null for %s', (_, reply) => {
    expect(filter(reply, () => true)).toBe(null);
  });

  it('never lets a refused tool through, whatever the reply', () => {
    const base = fc.constant(
      list('[{"name":"a"},{"name":"b","d":"\\u0062"},{"name":"c","inputSchema":{"type":"object"}}]', ',"nextCursor":"x"'),
    );
    fc.assert(
      fc.property(mutated(base), (bytes) => {
        const filtered = filterTools(bytes, (tool) => tool === 'a');
        if (filtered === null) return;
        const { result } = JSON.parse(filtered.toString()) as { result?: { tools: { name: string }[] } };
        expect(result?.tools.every((tool) => tool.name === 'a') ?? true).toBe(true);
      }),
      { numRuns: 5000 },
    );
  });

  it('agrees with filtering the parsed list', () => {
    const tools = fc.array(
      fc.record({ name: fc.constantFrom('a', 'b', 'é"', ''), description: fc.string(), inputSchema: fc.jsonValue() }),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(tools, fc.constantFrom(0, 1), fc.constantFrom('a', 'b', 'é"', ''), (drawn, indent, dropped) => {
        const message = { jsonrpc: '2.0', id: 1, result: { tools: drawn, nextCursor: 'n' } };
        const kept = { ...message, result: { ...message.result, tools: drawn.filter(({ name }) => name !== dropped) } };
        const filtered = filter(JSON.stringify(message, null, indent), (name) => name !== dropped);
        expect(JSON.stringify(JSON.parse(filtered ?? 'null'))).toBe(JSON.stringify(JSON.parse(JSON.stringify(kept))));
      }),
    );
  });

  it('takes time linear in the number of tools', () => {
    const prepare = (size: number): (() => void) => {
      const tools = Array.from({ length: size }, (_, index) => `{"name":"tool_${index}"}`);
      const bytes = Buffer.from(`{"jsonrpc":"2.0","id":1,"result":{"tools":[${tools.join(',')}]}}`);
      return () => void filterTools(bytes, (tool) => tool !== 'tool_7');
    };
    expect(growthOf(prepare, 4000)).toBeLessThan(LINEAR_GROWTH);
  });
});
