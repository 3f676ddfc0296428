import { describe, expect, it } from 'vitest';
import { looksLikeToolError } from '../../src/mcp/tool-result.ts';

const response = (result: string): Buffer => Buffer.from(`{"jsonrpc":"2.0","id":1,"result":${result}}`);
const long = `{"type":"text","text":"${'x'.repeat(5000)}"}`;

describe('looksLikeToolError', () => {
  it.each([
    ['{"content":[],"isError":true}', true],
    ['{"isError" : true,"content":[]}', true],
    [`{"content":[${long}],"isError":true}`, true],
    [`{"isError":true,"content":[${long}]}`, true],
    ['{"content":[],"isError":false}', false],
    ['{"content":[]}', false],
    [`{"content":[${long}]}`, false],
    ['{"content":[{"type":"text","text":"\\"isError\\":true"}]}', false],
  ])('%#: reads %j', (result, expected) => {
    expect(looksLikeToolError(response(result))).toBe(expected);
  });

  it('takes an empty or broken message for none', () => {
    expect(looksLikeToolError(Buffer.alloc(0))).toBe(false);
    expect(looksLikeToolError(Buffer.from('"isError'))).toBe(false);
  });
});
