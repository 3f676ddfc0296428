import { describe, expect, it } from 'vitest';
import { LIST_SHAPES, type ListPage, type ListShape, readListPage } from '../../src/mcp/list-page.ts';

const TOOLS = LIST_SHAPES.get('tools/list') as ListShape;
const RESOURCES = LIST_SHAPES.get('resources/list') as ListShape;

const read = (result: string, shape = TOOLS): ListPage | null =>
  readListPage(Buffer.from(`{"jsonrpc":"2.0","id":1,"result":${result}}`), shape);

describe('readListPage', () => {
  it('finds the elements, their names and the cursor', () => {
    const reply = Buffer.from(
      '{"result":{"nextCursor":"\\u0061b","x":{"tools":[]},"tools":[{"name":"a\\u0062"}, {"x":{"name":"no"},"name":"c" }]},"id":1,"jsonrpc":"2.0"}',
    );
    const page = readListPage(reply, TOOLS);
    expect(page?.nextCursor).toBe('ab');
    expect(page?.items.map(({ key }) => key)).toEqual(['ab', 'c']);
    expect(page?.items.map(({ start, end }) => reply.toString('utf8', start, end))).toEqual([
      '{"name":"a\\u0062"}',
      '{"x":{"name":"no"},"name":"c" }',
    ]);
    expect(page?.items.map(({ keyStart, keyEnd }) => reply.toString('utf8', keyStart, keyEnd))).toEqual(['"a\\u0062"', '"c"']);
  });

  it('knows each kind of list by its own names', () => {
    expect(read('{"resources":[{"name":"n","uri":"u"}]}', RESOURCES)?.items.map(({ key }) => key)).toEqual(['u']);
    expect(read('{"tools":[{"name":"n"}]}', RESOURCES)).toBeNull();
    expect([...LIST_SHAPES].map(([method, { list, key }]) => [method, list, key])).toEqual([
      ['tools/list', 'tools', 'name'],
      ['resources/list', 'resources', 'uri'],
      ['resources/templates/list', 'resourceTemplates', 'uriTemplate'],
      ['prompts/list', 'prompts', 'name'],
    ]);
  });

  it('takes an empty list, and a cursor of null for none', () => {
    expect(read('{"tools":[],"nextCursor":null}')).toEqual({ items: [], nextCursor: null, ttlMs: 0 });
  });

  it.each([
    'null',
    '[]',
    '{}',
    '{"tools":{}}',
    '{"tools":["a"]}',
    '{"tools":[null]}',
    '{"tools":[{}]}',
    '{"tools":[{"name":1}]}',
    '{"tools":[{"name":"\\ud800"}]}',
    '{"tools":[{"name":"a","name":"b"}]}',
    '{"tools":[{"name":"a","NAME":"b"}]}',
    '{"tools":[],"Tools":[]}',
    '{"tools":[],"tools":[]}',
    '{"tools":[],"nextCursor":1}',
    '{"tools":[],"nextCursor":"\\udfff"}',
    '{"tools":[',
  ])('takes nothing from %s', (result) => {
    expect(read(result)).toBeNull();
  });
});
