import { describe, expect, it } from 'vitest';
import { namedPartOf, renamed } from '../../src/mcp/member-name.ts';
import { envelope } from '../upstream/support.ts';

const message = (method: string, params: string): ReturnType<typeof envelope> =>
  envelope(`{"jsonrpc":"2.0","id":1,"method":"${method}","params":${params}}`);

describe('namedPartOf', () => {
  it('finds what a request names, wherever it stands', () => {
    const call = message('tools/call', '{"arguments":{"name":"no","ref":{"name":"no"}},"name":"a\\u0062c"}');
    const part = namedPartOf(call);
    expect(part).toMatchObject({ kind: 'name', text: 'abc' });
    expect(call.bytes.toString('utf8', part?.start, part?.end)).toBe('"a\\u0062c"');
    expect(namedPartOf(message('prompts/get', '{"name":"p"}'))).toMatchObject({ kind: 'name', text: 'p' });
    expect(namedPartOf(message('completion/complete', '{"name":"no","ref":{"type":"ref/prompt","name":"p"}}'))).toMatchObject({
      kind: 'name',
      text: 'p',
    });
    expect(namedPartOf(message('completion/complete', '{"ref":{"uri":"x://{y}","type":"ref/resource"}}'))).toMatchObject({
      kind: 'uri',
      text: 'x://{y}',
    });
  });

  it.each([
    '{}',
    '{"ref":null}',
    '{"ref":"ref/prompt"}',
    '{"ref":{"type":"ref/prompt"}}',
    '{"ref":{"name":"p"}}',
    '{"ref":{"type":"ref/resource","name":"p"}}',
    '{"ref":{"type":"ref/prompt","uri":"u"}}',
    '{"ref":{"type":"ref/prompt","name":"p","uri":"u"}}',
    '{"ref":{"type":"ref/prompt","name":"p","Name":"q"}}',
    '{"ref":{"type":"ref/prompt","name":5}}',
    '{"ref":{"type":"ref/prompt","name":"\\ud800"}}',
    '{"ref":{"type":["ref/prompt"],"name":"p"}}',
  ])('finds nothing in %s', (params) => {
    expect(namedPartOf(message('completion/complete', params))).toBeNull();
  });
});

describe('renamed', () => {
  it('replaces that name and nothing else, and reads the result anew', () => {
    const call = message('tools/call', '{"arguments":{"n":12345678901234567890},"name":"fs__\\"x" , "_meta":{"progressToken":"t"}}');
    const part = namedPartOf(call);
    if (part === null) throw new Error('no name');
    const other = renamed(call, part, '"x');
    expect(other.bytes.toString()).toBe(
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"n":12345678901234567890},"name":"\\"x" , "_meta":{"progressToken":"t"}}}',
    );
    expect(other).toMatchObject({ kind: 'request', method: 'tools/call', name: '"x' });
    expect(other.bytes.toString('utf8', other.tokenStart, other.tokenEnd)).toBe('"t"');
  });
});
