import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Envelope } from '../../src/core/envelope.ts';
import { isFailure, parseMessage, type JsonLimits, type ParseFailure } from '../../src/mcp/parse.ts';
import { splice } from '../../src/mcp/splice.ts';
import { growthOf, isJson, LINEAR_GROWTH, mutated, writeString } from './json-texts.ts';

const LIMITS: JsonLimits = { maxDepth: 64, maxKeys: 10_000, maxStringBytes: 1 << 20 };

function parse(text: string | Buffer, limits: JsonLimits = LIMITS): Envelope | ParseFailure {
  return parseMessage(typeof text === 'string' ? Buffer.from(text) : text, limits);
}

function accepted(text: string): Envelope {
  const outcome = parse(text);
  if (isFailure(outcome)) throw new Error(`refused: ${outcome.refusal.code}`);
  return outcome;
}

/** Code and id token of a refusal, `accepted` for an envelope. */
function verdict(text: string | Buffer, limits: JsonLimits = LIMITS): string {
  const outcome = parse(text, limits);
  return isFailure(outcome) ? `${outcome.refusal.code} ${outcome.idToken}` : 'accepted';
}

function span(message: Envelope, start: number, end: number): string | null {
  return start === -1 ? null : message.bytes.toString('utf8', start, end);
}

function call(params: string): string {
  return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":${params}}`;
}

describe('parseMessage', () => {
  it('finds all parts of a call, in any order of members, with white space between', () => {
    const message = accepted(
      ' { "params" : {"arguments":{"id":1,"name":"inner"}, "_meta":{"progressToken":"tok"} ,"name":"read_file" } ,\n"method":"tools/call", "id" : "a\\"b" , "jsonrpc":"2.0" } ',
    );
    expect(message.kind).toBe('request');
    expect(message.method).toBe('tools/call');
    expect(message.name).toBe('read_file');
    expect(span(message, message.idStart, message.idEnd)).toBe('"a\\"b"');
    expect(span(message, message.tokenStart, message.tokenEnd)).toBe('"tok"');
    expect(span(message, message.paramsStart, message.paramsEnd)).toBe(
      '{"arguments":{"id":1,"name":"inner"}, "_meta":{"progressToken":"tok"} ,"name":"read_file" }',
    );
    expect(message.modern).toBe(null);
  });

  it('reads the other decided members: uri, requestId, protocolVersion', () => {
    expect(accepted('{"jsonrpc":"2.0","id":0,"method":"resources/read","params":{"uri":"file:\\/\\/\\/a"}}').uri).toBe('file:///a');
    const cancel = accepted('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":12,"reason":"x"}}');
    expect(cancel.kind).toBe('notification');
    expect(span(cancel, cancel.requestIdStart, cancel.requestIdEnd)).toBe('12');
    const hello = accepted('{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{}}}');
    expect(hello.protocolVersion).toBe('2025-06-18');
  });

  it('marks what is absent with -1 and null', () => {
    const message = accepted('{"jsonrpc":"2.0","id":1,"method":"ping"}');
    const { paramsStart, paramsEnd, tokenStart, tokenEnd, requestIdStart, requestIdEnd } = message;
    expect([paramsStart, paramsEnd, tokenStart, tokenEnd, requestIdStart, requestIdEnd]).toEqual([-1, -1, -1, -1, -1, -1]);
    expect([message.name, message.uri, message.protocolVersion]).toEqual([null, null, null]);
  });

  it('keeps every kind of id as it was sent', () => {
    for (const id of ['0', '-5', '12345678901234567890', '"x"', '""', '"\\u0041"']) {
      const message = accepted(`{"jsonrpc":"2.0","id":${id},"method":"ping"}`);
      expect(span(message, message.idStart, message.idEnd)).toBe(id);
    }
  });

  it('replacing the id keeps everything else byte for byte', () => {
    const json = fc.json().filter((text) => !/"__proto__"/.test(text));
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), json, fc.gen(), (id, args, random) => {
        const idToken = writeString(id, () => random(fc.boolean));
        const text = `{"id":${idToken},"params":{"name":"t","arguments":${args}},"method":"tools/call","jsonrpc":"2.0"}`;
        const message = parse(text);
        if (isFailure(message)) throw new Error(message.refusal.code);
        expect(JSON.parse(span(message, message.idStart, message.idEnd) ?? '')).toBe(id);
        const sent = splice(message.bytes, [{ start: message.idStart, end: message.idEnd, text: '99' }]).toString();
        expect(sent).toBe(text.replace(`{"id":${idToken},`, () => '{"id":99,'));
      }),
    );
  });

  it('never accepts what the platform does not parse, nor reads it differently', () => {
    const base = fc.constantFrom(
      call('{"name":"echo","arguments":{"a":[1,2,{"b":null}]},"_meta":{"progressToken":3}}'),
      '{"jsonrpc":"2.0","id":"x","method":"resources/read","params":{"uri":"file:///a"}}',
      '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}',
    );
    fc.assert(
      fc.property(mutated(base), (bytes) => {
        const outcome = parseMessage(bytes, LIMITS);
        if (isFailure(outcome)) {
          expect(outcome.refusal.status).toBe(400);
          return;
        }
        expect(isJson(bytes)).toBe(true);
        const parsed = JSON.parse(bytes.toString()) as Record<string, unknown> & { params?: Record<string, unknown> };
        expect(parsed['jsonrpc']).toBe('2.0');
        if (outcome.kind !== 'response') expect(parsed['method']).toBe(outcome.method);
        if (outcome.name !== null) expect(parsed.params?.['name']).toBe(outcome.name);
        if (outcome.uri !== null) expect(parsed.params?.['uri']).toBe(outcome.uri);
        if (outcome.idStart !== -1) expect(JSON.parse(span(outcome, outcome.idStart, outcome.idEnd) ?? '')).toBe(parsed['id']);
      }),
      { numRuns: 5000 },
    );
  });

  it('every cut of a message is refused as broken JSON', () => {
    const text = call('{"name":"é","arguments":{"n":-1.5e3,"t":[true,null]}}');
    const bytes = Buffer.from(text);
    for (let length = 1; length < bytes.length; length++) {
      expect(verdict(bytes.subarray(0, length))).toMatch(/^BAD_JSON /);
    }
    expect(verdict(bytes)).toBe('accepted');
  });

  it.each([
    ['an empty body', '', 'EMPTY_BODY null'],
    ['white space only', ' \n', 'BAD_JSON null'],
    ['an id that only looks like one', '{"jsonrpc":"2.0","id":01,"method":"ping"}', 'BAD_JSON null'],
    ['no JSON', 'hello', 'BAD_JSON null'],
    ['a trailing NUL', '{"jsonrpc":"2.0","id":1,"method":"ping"}\u0000', 'BAD_JSON null'],
    ['a second message', '{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"ping"}', 'BAD_JSON null'],
    ['a byte order mark', '\ufeff{"jsonrpc":"2.0","id":1,"method":"ping"}', 'BAD_JSON null'],
    ['a batch', '[{"jsonrpc":"2.0","id":1,"method":"ping"}]', 'BATCH_REFUSED null'],
    ['an empty batch', '[]', 'BATCH_REFUSED null'],
    ['a broken batch', '[{"jsonrpc":', 'BAD_JSON null'],
    ['a string', '"ping"', 'BAD_MESSAGE null'],
    ['a number', '1', 'BAD_MESSAGE null'],
    ['null', 'null', 'BAD_MESSAGE null'],
    ['an empty object', '{}', 'BAD_MESSAGE null'],
    ['no version', '{"id":1,"method":"ping"}', 'BAD_MESSAGE 1'],
    ['version 1.0', '{"jsonrpc":"1.0","id":1,"method":"ping"}', 'BAD_MESSAGE 1'],
    ['a version that is a number', '{"jsonrpc":2.0,"id":1,"method":"ping"}', 'BAD_MESSAGE 1'],
    ['a null id', '{"jsonrpc":"2.0","id":null,"method":"ping"}', 'BAD_MESSAGE null'],
    ['a fractional id', '{"jsonrpc":"2.0","id":1.5,"method":"ping"}', 'BAD_MESSAGE null'],
    ['an id with a zero fraction', '{"jsonrpc":"2.0","id":1.0,"method":"ping"}', 'BAD_MESSAGE null'],
    ['an id with an exponent', '{"jsonrpc":"2.0","id":1e3,"method":"ping"}', 'BAD_MESSAGE null'],
    ['an object as id', '{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}', 'BAD_MESSAGE null'],
    ['an endless id', `{"jsonrpc":"2.0","id":${'9'.repeat(2000)},"method":"ping"}`, 'BAD_MESSAGE null'],
    ['a method that is a number', '{"jsonrpc":"2.0","id":1,"method":5}', 'BAD_MESSAGE 1'],
    ['a method that is null', '{"jsonrpc":"2.0","id":1,"method":null}', 'BAD_MESSAGE 1'],
    ['a method with a lone surrogate', '{"jsonrpc":"2.0","id":1,"method":"a\\ud800"}', 'BAD_MESSAGE 1'],
    ['params that are a list', '{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', 'BAD_MESSAGE 1'],
    ['params that are null', '{"jsonrpc":"2.0","id":1,"method":"ping","params":null}', 'BAD_MESSAGE 1'],
    ['params that are a string', '{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}', 'BAD_MESSAGE 1'],
    ['a method and a result', '{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}', 'BAD_MESSAGE 1'],
    ['a method and an error', '{"jsonrpc":"2.0","id":1,"method":"ping","error":{}}', 'BAD_MESSAGE 1'],
    ['a response without outcome', '{"jsonrpc":"2.0","id":1}', 'BAD_MESSAGE 1'],
    ['a response with both outcomes', '{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":""}}', 'BAD_MESSAGE 1'],
    ['a response without id', '{"jsonrpc":"2.0","result":1}', 'BAD_MESSAGE null'],
    ['an error that is no object', '{"jsonrpc":"2.0","id":1,"error":"x"}', 'BAD_MESSAGE 1'],
    ['a call as a notification', '{"jsonrpc":"2.0","method":"tools/call","params":{"name":"delete_all"}}', 'BAD_MESSAGE null'],
    ['a call without params', '{"jsonrpc":"2.0","id":1,"method":"tools/call"}', 'BAD_PARAMS 1'],
    ['a call without a name', call('{"arguments":{}}'), 'BAD_PARAMS 7'],
    ['a call whose name is a number', call('{"name":1}'), 'BAD_PARAMS 7'],
    ['a call whose name is null', call('{"name":null}'), 'BAD_PARAMS 7'],
    ['a call whose name holds a lone surrogate', call('{"name":"x\\udfff"}'), 'BAD_PARAMS 7'],
    ['a prompt without a name', '{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{}}', 'BAD_PARAMS 1'],
    ['a resource without a uri', '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":[]}}', 'BAD_PARAMS 1'],
    ['_meta that is a list', call('{"name":"a","_meta":[]}'), 'BAD_PARAMS 7'],
    ['a progress token that could equal an internal one', call('{"name":"a","_meta":{"progressToken":1.0}}'), 'BAD_PARAMS 7'],
    ['a progress token that is an object', call('{"name":"a","_meta":{"progressToken":{}}}'), 'BAD_PARAMS 7'],
    ['two methods', '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', 'DUPLICATE_KEY 1'],
    ['two names', call('{"name":"read","name":"delete"}'), 'DUPLICATE_KEY 7'],
    ['two names, one escaped', call('{"name":"read","n\\u0061me":"delete"}'), 'DUPLICATE_KEY 7'],
    ['two escaped names', call('{"\\u006eame":"read","n\\u0061me":"delete"}'), 'DUPLICATE_KEY 7'],
    ['a repeated key deep in the arguments', call('{"name":"a","arguments":{"x":[{"k":1,"k":1}]}}'), 'DUPLICATE_KEY 7'],
    ['two params', '{"jsonrpc":"2.0","id":1,"method":"x","params":{},"params":{}}', 'DUPLICATE_KEY 1'],
    ['two ids: neither counts', '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', 'DUPLICATE_KEY null'],
    ['an id behind a repeated key', '{"jsonrpc":"2.0","method":"a","method":"b","id":5}', 'DUPLICATE_KEY 5'],
    ['Method beside method', '{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}', 'BAD_MESSAGE 1'],
    ['ID instead of id', '{"jsonrpc":"2.0","ID":1,"method":"notifications/x"}', 'BAD_MESSAGE null'],
    ['paramſ (long s)', '{"jsonrpc":"2.0","id":1,"method":"ping","param\u017f":{}}', 'BAD_MESSAGE 1'],
    ['full-width method', '{"jsonrpc":"2.0","id":1,"method":"ping","\uff4dethod":"x"}', 'BAD_MESSAGE 1'],
    ['method with a NUL behind', '{"jsonrpc":"2.0","id":1,"method":"ping","method\\u0000x":"y"}', 'BAD_MESSAGE 1'],
    ['any key with a NUL', '{"jsonrpc":"2.0","id":1,"method":"ping","a\\u0000":"y"}', 'BAD_MESSAGE 1'],
    ['method with a zero-width space', '{"jsonrpc":"2.0","id":1,"method":"ping","meth\u200bod":"x"}', 'BAD_MESSAGE 1'],
    ['an escaped case variant', '{"jsonrpc":"2.0","id":1,"method":"ping","\\u004dethod":"x"}', 'BAD_MESSAGE 1'],
    ['Name beside name', call('{"name":"read","Name":"delete"}'), 'BAD_PARAMS 7'],
    ['NAME with a dotted capital I elsewhere', call('{"name":"read","ur\u0130":"x"}'), 'BAD_PARAMS 7'],
    ['Arguments', call('{"name":"read","Arguments":{}}'), 'BAD_PARAMS 7'],
    ['name with a NUL', call('{"name":"read","name\\u0000":"delete"}'), 'BAD_PARAMS 7'],
    ['requestid in another case', '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestid":1}}', 'BAD_PARAMS null'],
    ['ProgressToken', call('{"name":"a","_meta":{"ProgressToken":1}}'), 'BAD_PARAMS 7'],
    ['a case variant of a modern claim', call('{"name":"a","_meta":{"io.modelcontextprotocol/ProtocolVersion":"x"}}'), 'BAD_PARAMS 7'],
  ])('refuses %s', (_, text, expected) => {
    expect(verdict(text)).toBe(expected);
  });

  it.each([
    ['unknown keys at the top', '{"jsonrpc":"2.0","id":1,"method":"ping","extra":{"Method":1}}'],
    ['keys of arguments in any case', call('{"name":"a","arguments":{"Name":1,"METHOD":2,"a\\u0000":3}}')],
    ['unknown keys of params and _meta', call('{"name":"a","x-y":1,"_meta":{"com.example/Trace":1,"traceparent":"00"}}')],
    ['a null _meta', call('{"name":"a","_meta":null}')],
    ['a null progress token', call('{"name":"a","_meta":{"progressToken":null}}')],
    ['a lone surrogate in an argument', call('{"name":"a","arguments":{"text":"\\ud83d"}}')],
    ['numbers beyond 64 bits', call('{"name":"a","arguments":{"n":123456789012345678901234567890,"m":1e400}}')],
    ['__proto__ as an argument', call('{"name":"a","arguments":{"__proto__":{"x":1}}}')],
    ['a slash that is escaped', '{"jsonrpc":"2.0","id":1,"method":"tools\\/list"}'],
    ['a response', '{"jsonrpc":"2.0","id":1,"result":{"roots":[]}}'],
    ['an error response', '{"jsonrpc":"2.0","id":"a","error":{"code":-1,"message":"no"}}'],
  ])('accepts %s', (_, text) => {
    expect(verdict(text)).toBe('accepted');
  });

  it('refuses depth bombs of every shape, whatever their size', () => {
    for (const bomb of [
      '['.repeat(1_000_000),
      '{"a":'.repeat(200_000),
      call(`{"name":"a","arguments":${'['.repeat(100)}`),
      `${'[{"a":'.repeat(1000)}`,
    ]) {
      expect(verdict(bomb)).toMatch(/^JSON_TOO_DEEP /);
    }
    const nested = (depth: number): string => call(`{"name":"a","arguments":${'['.repeat(depth - 2)}${']'.repeat(depth - 2)}}`);
    expect(verdict(nested(64))).toBe('accepted');
    expect(verdict(nested(65))).toBe('JSON_TOO_DEEP 7');
  });

  it('bounds the keys of a message and the length of its strings', () => {
    const members = (count: number): string => Array.from({ length: count }, (_, i) => `"k${i}":0`).join(',');
    expect(verdict(call(`{"name":"a","arguments":{${members(94)}}}`), { ...LIMITS, maxKeys: 100 })).toBe('accepted');
    expect(verdict(call(`{"name":"a","arguments":{${members(95)}}}`), { ...LIMITS, maxKeys: 100 })).toBe('JSON_TOO_MANY_KEYS 7');
    expect(verdict(call(`{"name":"${'a'.repeat(11)}"}`), { ...LIMITS, maxStringBytes: 10 })).toBe('JSON_STRING_TOO_LONG 7');
  });

  it('refuses invalid UTF-8 anywhere', () => {
    const bytes = Buffer.from(call('{"name":"a","arguments":{"t":"?"}}'));
    bytes[bytes.indexOf('?')] = 0xff;
    expect(verdict(bytes)).toBe('BAD_JSON null');
  });

  it('sees the claim of revision 2026-07-28, also escaped, wherever its keys stand', () => {
    const text = call(
      '{"name":"a","_meta":{"io.modelcontextprotocol/clientCapabilities":{"x":1},"io.modelcontextprotocol\\/protocolVersion":"v"}}',
    );
    const { modern, bytes } = accepted(text);
    expect(modern?.version).toBe('v');
    expect(bytes.toString('utf8', modern?.capabilitiesStart, modern?.capabilitiesEnd)).toBe('{"x":1}');
    expect([modern?.clientInfoStart, modern?.logLevelStart]).toEqual([-1, -1]);
  });

  it('keeps where `_meta` stands, and the name of a task', () => {
    const { metaStart, metaEnd, bytes, taskId } = accepted(call('{"name":"a","taskId":"t-1","_meta": {"a":[1]} }'));
    expect([bytes.toString('utf8', metaStart, metaEnd), taskId]).toEqual(['{"a":[1]}', 't-1']);
    const brought = accepted(call('{"requestState" : ["x"] ,"name":"a"}'));
    expect(brought.bytes.toString('utf8', brought.stateStart, brought.stateEnd)).toBe('["x"]');
  });

  it('takes other keys of the protocol namespace for what they are: legacy', () => {
    expect(accepted(call('{"name":"a","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"x"}}}')).modern).toBe(null);
    expect(accepted(call('{"name":"a","_meta":{"io.modelcontextprotocol/clientInfo":{}}}')).modern).toBe(null);
  });

  it('does not carry anything from one message to the next', () => {
    expect(verdict(call('{"name":"a","arguments":{"\\u0061":1,"b":2'))).toMatch(/^BAD_JSON/);
    expect(verdict('['.repeat(100))).toMatch(/^JSON_TOO_DEEP/);
    const message = accepted('{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":1,"b":2}}');
    expect([message.name, message.tokenStart, message.modern]).toEqual([null, -1, null]);
  });

  it('takes time in proportion to the bytes, for every costly shape', () => {
    const shapes: ((size: number) => string)[] = [
      (size) => call(`{"name":"a","${'\u017f'.repeat(size)}":1}`),
      (size) => call(`{"name":"${'\\u0061'.repeat(size)}"}`),
      (size) => call(`{"name":"a","n":${'9'.repeat(size)}}`),
      (size) => `{"jsonrpc":"2.0",${' '.repeat(size)}"id":7,"method":"ping"}`,
      (size) => call(`{"name":"a",${Array.from({ length: size / 10 }, (_, i) => `"\\u006b${i}":0`).join(',')}}`),
    ];
    const limits = { ...LIMITS, maxKeys: 1_000_000 };
    for (const shape of shapes) {
      const prepare = (size: number) => {
        const bytes = Buffer.from(shape(size));
        return () => parse(bytes, limits);
      };
      expect(growthOf(prepare, 10_000)).toBeLessThan(LINEAR_GROWTH);
    }
  });
});
