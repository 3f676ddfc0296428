import { describe, expect, it } from 'vitest';
import type { Envelope } from '../../src/core/envelope.ts';
import { asLegacyReply, asModernError, asModernReply } from '../../src/mcp/era-replies.ts';
import { asLegacyRequest, asModernRequest } from '../../src/mcp/era-requests.ts';
import { isFailure, parseMessage } from '../../src/mcp/parse.ts';

const META = '"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}';

function read(text: string): Envelope {
  const message = parseMessage(Buffer.from(text), { maxDepth: 64, maxKeys: 1000, maxStringBytes: 100_000 });
  if (isFailure(message)) throw new Error(message.refusal.code);
  return message;
}

describe('a request of an older revision as one of 2026-07-28', () => {
  it.each([
    ['{"jsonrpc":"2.0","id":1,"method":"tools/list"}', `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{${META}}}}`],
    [
      '{"method":"tools/list","params": {} ,"id":1,"jsonrpc":"2.0"}',
      `{"method":"tools/list","params": {"_meta":{${META}}} ,"id":1,"jsonrpc":"2.0"}`,
    ],
    [
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"n":12345678901234567890}}}',
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{${META}},"name":"a","arguments":{"n":12345678901234567890}}}`,
    ],
    [
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":7},"name":"a"}}',
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{${META},"progressToken":7},"name":"a"}}`,
    ],
  ])('%s', (text, expected) => {
    const modern = asModernRequest(read(text), META);
    expect(modern?.bytes.toString('utf8')).toBe(expected);
    expect(modern?.modern?.version).toBe('2026-07-28');
  });

  it('is none when it brings such a key itself', () => {
    const text = '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/clientCapabilities":{}}}}';
    expect(asModernRequest(read(text), META)).toBeNull();
  });
});

describe('a request of 2026-07-28 as one of an older revision', () => {
  it('loses its claims and its answers to questions, and has another id', () => {
    const text =
      `{"jsonrpc":"2.0","id":"é","method":"tools/call","params":{"requestState":"s", "name":"a",` +
      `"_meta":{ ${META} ,"progressToken":7,"own": {"x":1} },"inputResponses":{}}}`;
    expect(asLegacyRequest(read(text), '"m-1"')?.bytes.toString('utf8')).toBe(
      '{"jsonrpc":"2.0","id":"m-1","method":"tools/call","params":{"name":"a","_meta":{"progressToken":7,"own": {"x":1}}}}',
    );
  });
});

describe('results', () => {
  it('of 2026-07-28 lose what it added', () => {
    const reply = '{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","tools":[ ],"ttlMs":5,"cacheScope":"public","n":1.0}}';
    expect(asLegacyReply(Buffer.from(reply))?.toString('utf8')).toBe('{"jsonrpc":"2.0","id":1,"result":{"tools":[ ],"n":1.0}}');
  });

  it.each(['"input_required"', '"task"', 'null'])('of the type %s cannot be given to an older client', (type) => {
    expect(asLegacyReply(Buffer.from(`{"jsonrpc":"2.0","id":1,"result":{"resultType":${type}}}`))).toBeNull();
  });

  it('of older revisions get what 2026-07-28 demands, once', () => {
    const info = '{"name":"s","version":"1"}';
    const meta = `"_meta":{"io.modelcontextprotocol/serverInfo":${info}`;
    const make = (result: string, method: string): string | undefined =>
      asModernReply(Buffer.from(`{"jsonrpc":"2.0","id":1,"result":${result}}`), method, info)?.toString('utf8');
    expect(make('{}', 'tools/call')).toBe(`{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete",${meta}}}}`);
    expect(make('{"tools":[],"_meta":{"a":1}}', 'tools/list')).toBe(
      `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","ttlMs":0,"cacheScope":"private",${meta},"a":1},"tools":[]}}`,
    );
    expect(make('{"resultType":"odd","content":[]}', 'tools/call')).toBe(
      `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete",${meta}},"content":[]}}`,
    );
    expect(make('[]', 'tools/call')).toBeUndefined();
  });

  it('a resource that is not there has another code', () => {
    const error = (code: number): string => `{"jsonrpc":"2.0","id":1,"error":{"code":${code},"message":"no","data":{"uri":"x"}}}`;
    const { bytes, code } = asModernError(Buffer.from(error(-32002)), -32002);
    expect([bytes.toString('utf8'), code]).toEqual([error(-32602), -32602]);
    expect(asModernError(Buffer.from(error(-32603)), -32603).bytes.toString('utf8')).toBe(error(-32603));
  });
});
