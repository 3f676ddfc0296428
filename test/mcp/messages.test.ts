import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rpcError, rpcResult } from '../../src/mcp/messages.ts';

describe('rpcResult', () => {
  it('puts the id token and the result in as they are', () => {
    expect(rpcResult('12345678901234567890', '{ }')).toBe('{"jsonrpc":"2.0","id":12345678901234567890,"result":{ }}');
    expect(rpcResult('"a\\u0041"', 'null')).toBe('{"jsonrpc":"2.0","id":"a\\u0041","result":null}');
  });
});

describe('rpcError', () => {
  it('is a JSON-RPC error for any message text and data', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.option(fc.json()), (message, data) => {
        const error = { code: -32600, message, ...(data === null ? {} : { data: JSON.parse(data) as unknown }) };
        expect(JSON.parse(rpcError('null', -32600, message, data))).toEqual({ jsonrpc: '2.0', id: null, error });
      }),
    );
  });
});
