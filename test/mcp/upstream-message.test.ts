import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scanUpstreamMessage, type UpstreamMessage } from '../../src/mcp/upstream-message.ts';
import { isJson, mutated } from './json-texts.ts';

const LIMITS = { maxDepth: 512 };

function scan(text: string): UpstreamMessage | null {
  return scanUpstreamMessage(Buffer.from(text), LIMITS);
}

function cut(text: string, start: number, end: number): string {
  return Buffer.from(text).toString('utf8', start, end);
}

describe('scanUpstreamMessage', () => {
  it('finds id and result of a response, also when the result is null', () => {
    for (const result of ['null', '{}', '{"content":[{"type":"text","text":"é"}]}', '[1, 2]']) {
      const text = `{"jsonrpc":"2.0", "result": ${result} ,"id":"17"}`;
      const message = scan(text);
      expect(message).toMatchObject({ kind: 'response', method: '', isError: false, errorCode: 0 });
      expect(cut(text, message?.resultStart ?? 0, message?.resultEnd ?? 0)).toBe(result);
      expect(cut(text, message?.idStart ?? 0, message?.idEnd ?? 0)).toBe('"17"');
    }
  });

  it('finds the code of an error', () => {
    expect(scan('{"jsonrpc":"2.0","id":3,"error":{"message":"no","code":-32602,"data":{"code":5}}}')).toMatchObject({
      kind: 'response',
      isError: true,
      errorCode: -32602,
      resultStart: -1,
    });
    expect(scan('{"jsonrpc":"2.0","id":3,"error":{"message":"no","code":"x"}}')).toMatchObject({ isError: true, errorCode: 0 });
    expect(scan('{"jsonrpc":"2.0","id":3,"error":{"message":"no","code":99999999999999999999}}')).toMatchObject({ errorCode: 0 });
  });

  it('tells an error about an unreadable request (id null) by idStart -1', () => {
    expect(scan('{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}')).toMatchObject({ kind: 'response', idStart: -1 });
    expect(scan('{"jsonrpc":"2.0","id":null,"result":{}}')).toBe(null);
  });

  it('finds the progress token of a notification', () => {
    const text = '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1,"progressToken":42,"total":2}}';
    const message = scan(text);
    expect(message).toMatchObject({ kind: 'notification', method: 'notifications/progress', idStart: -1 });
    expect(cut(text, message?.tokenStart ?? 0, message?.tokenEnd ?? 0)).toBe('42');
  });

  it('takes no token that is neither string nor integer', () => {
    expect(scan('{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":4.5}}')).toMatchObject({ tokenStart: -1 });
  });

  it('recognises a request of the server', () => {
    expect(scan('{"jsonrpc":"2.0","id":0,"method":"roots/list"}')).toMatchObject({ kind: 'request', method: 'roots/list' });
  });

  it.each([
    ['nothing', ''],
    ['noise', 'Server listening on port 3000'],
    ['a batch', '[{"jsonrpc":"2.0","id":1,"result":{}}]'],
    ['a scalar', '1'],
    ['two messages', '{"jsonrpc":"2.0","id":1,"result":{}} {"jsonrpc":"2.0","id":1,"result":{}}'],
    ['no version', '{"id":1,"result":{}}'],
    ['another version', '{"jsonrpc":"1.0","id":1,"result":{}}'],
    ['neither result nor error', '{"jsonrpc":"2.0","id":1}'],
    ['result and error', '{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}'],
    ['result and method', '{"jsonrpc":"2.0","id":1,"result":{},"method":"x"}'],
    ['a request with a null id', '{"jsonrpc":"2.0","id":null,"method":"x"}'],
    ['no id', '{"jsonrpc":"2.0","result":{}}'],
    ['a fractional id', '{"jsonrpc":"2.0","id":1.0,"result":{}}'],
    ['two ids', '{"jsonrpc":"2.0","id":1,"id":2,"result":{}}'],
    ['two ids, one escaped', '{"jsonrpc":"2.0","id":1,"\\u0069d":2,"result":{}}'],
    ['two results', '{"jsonrpc":"2.0","id":1,"result":{},"result":{}}'],
    ['a case variant', '{"jsonrpc":"2.0","id":1,"Id":2,"result":{}}'],
    ['a repeated key of params', '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progressToken":2}}'],
    ['a variant of the token', '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"ProgressToken":2}}'],
    ['two codes', '{"jsonrpc":"2.0","id":1,"error":{"code":1,"code":2,"message":""}}'],
    ['an error that is a string', '{"jsonrpc":"2.0","id":1,"error":"x"}'],
    ['params that are a list', '{"jsonrpc":"2.0","method":"x","params":[]}'],
    ['broken JSON inside the result', '{"jsonrpc":"2.0","id":1,"result":{"a":[1,}}'],
    ['a raw control character inside the result', '{"jsonrpc":"2.0","id":1,"result":"a\u0001"}'],
    ['nesting beyond the limit', `{"jsonrpc":"2.0","id":1,"result":${'['.repeat(512)}${']'.repeat(512)}}`],
  ])('gives null for %s', (_, text) => {
    expect(scan(text)).toBe(null);
  });

  it('gives null for invalid UTF-8 inside the result', () => {
    const bytes = Buffer.from('{"jsonrpc":"2.0","id":1,"result":"?"}');
    bytes[bytes.indexOf('?')] = 0xc3;
    expect(scanUpstreamMessage(bytes, LIMITS)).toBe(null);
  });

  it('does not judge the inside of results: repeated keys, many keys, lone surrogates pass', () => {
    const many = Array.from({ length: 20_000 }, (_, i) => `"k${i}":${i}`).join(',');
    for (const result of ['{"a":1,"a":2}', `{${many}}`, '{"text":"\\ud800","\\udfff":1}', `${'['.repeat(511)}${']'.repeat(511)}`]) {
      expect(scan(`{"jsonrpc":"2.0","id":1,"result":${result}}`)).toMatchObject({ kind: 'response' });
    }
  });

  it('accepts nothing that the platform does not parse, and reads the same', () => {
    const base = fc.constantFrom(
      '{"jsonrpc":"2.0","id":12,"result":{"content":[{"type":"text","text":"x"}]}}',
      '{"jsonrpc":"2.0","id":12,"error":{"code":-32000,"message":"x"}}',
      '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}',
    );
    fc.assert(
      fc.property(mutated(base), (bytes) => {
        const message = scanUpstreamMessage(bytes, LIMITS);
        if (message === null) return;
        expect(isJson(bytes)).toBe(true);
        const parsed = JSON.parse(bytes.toString()) as Record<string, unknown>;
        expect('id' in parsed).toBe(message.kind !== 'notification');
        expect(parsed['method'] ?? '').toBe(message.method);
        if (message.idStart !== -1) expect(JSON.parse(cut(bytes.toString(), message.idStart, message.idEnd))).toBe(parsed['id']);
        if (message.resultStart !== -1) {
          expect(JSON.parse(bytes.toString('utf8', message.resultStart, message.resultEnd))).toEqual(parsed['result']);
        }
      }),
      { numRuns: 5000 },
    );
  });
});
