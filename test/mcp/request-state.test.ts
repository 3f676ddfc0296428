import { describe, expect, it } from 'vitest';
import type { Envelope } from '../../src/core/envelope.ts';
import { BAD_PARAMS } from '../../src/core/errors.ts';
import { subjectOf } from '../../src/mcp/modern-methods.ts';
import { isFailure, parseMessage } from '../../src/mcp/parse.ts';
import { broughtState, withBroughtState, withGivenState } from '../../src/mcp/request-state.ts';

const LIMITS = { maxDepth: 16, maxKeys: 100, maxStringBytes: 10_000 };

function request(params: string): Envelope {
  const message = parseMessage(Buffer.from(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`), LIMITS);
  if (isFailure(message)) throw new Error(message.refusal.code);
  return message;
}

const given = (reply: string): string => withGivenState(Buffer.from(reply), (own) => `<${own}>`).toString();

describe('what a state is bound to', () => {
  it('is what the method is about, whatever else a caller names', () => {
    const about = (method: string, params: string): string => {
      const message = parseMessage(Buffer.from(`{"jsonrpc":"2.0","id":1,"method":"${method}","params":${params}}`), LIMITS);
      if (isFailure(message)) throw new Error(message.refusal.code);
      return subjectOf(message);
    };
    expect(about('tools/call', '{"name":"a","uri":"file:///x"}')).toBe('a');
    expect(about('prompts/get', '{"name":"a"}')).toBe('a');
    expect(about('resources/read', '{"uri":"file:///x","name":"a"}')).toBe('file:///x');
    expect(about('tools/list', '{"name":"a"}')).toBe('');
  });
});

describe('the state that a request brings', () => {
  it('is read as it is meant, and nothing but a string is one', () => {
    expect(broughtState(request('{"name":"a"}'))).toBeNull();
    expect(broughtState(request('{"name":"a","arguments":{"requestState":"x"}}'))).toBeNull();
    expect(broughtState(request(String.raw`{"request\u0053tate" : "a\"\u00e9","name":"a"}`))).toBe('a"é');
    for (const other of ['1', 'null', '{}', '["x"]'])
      expect(broughtState(request(`{"name":"a","requestState":${other}}`))).toBe(BAD_PARAMS);
  });

  it('is replaced, or taken out, and the rest stays byte for byte', () => {
    const message = request('{"name":"a" , "requestState":"old" , "arguments": {"n":1.0} }');
    expect(withBroughtState(message, 'n"ew')?.bytes.toString()).toContain(
      String.raw`{"name":"a" , "requestState":"n\"ew" , "arguments": {"n":1.0} }`,
    );
    const without = withBroughtState(message, null);
    expect(without?.bytes.toString()).toContain('"arguments": {"n":1.0}');
    expect([without?.bytes.includes('requestState'), without?.name, without?.stateStart]).toEqual([false, 'a', -1]);
  });
});

describe('the state that an answer gives', () => {
  it('is made of the server’s own, wherever that stands, or put where there is none', () => {
    expect(given('{"id":1,"result":{"resultType":"input_required","requestState" : "s","n":1.0}}')).toBe(
      '{"id":1,"result":{"resultType":"input_required","requestState" : "<s>","n":1.0}}',
    );
    expect(given('{"result":{"requestState":"s","resultType":"input_required"},"id":1}')).toContain('"requestState":"<s>"');
    expect(given('{"id":1,"result":{ "resultType":"input_required"}}')).toBe(
      '{"id":1,"result":{"requestState":"<null>", "resultType":"input_required"}}',
    );
    expect(given('{"id":1,"result":{"resultType":"input_required","requestState":null}}')).toContain('"requestState":"<null>"');
  });

  it('is none where nothing is asked for', () => {
    for (const reply of [
      '{"id":1,"result":{"resultType":"complete","requestState":"s","content":[{"text":"input_required"}]}}',
      '{"id":1,"result":{"content":{"resultType":"input_required","requestState":"s"}}}',
      '{"id":1,"error":{"code":1,"message":"input_required"}}',
      '{"id":1,"result":"input_required"}',
      '{"id":1,"result":{}}',
    ])
      expect(given(reply)).toBe(reply);
  });
});
