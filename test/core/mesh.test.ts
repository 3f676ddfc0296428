import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { asToCaller, asToOwner, packToCaller, packToOwner, type PeerEra, type ToCaller, type ToOwner } from '../../src/core/mesh.ts';
import { envelope } from '../upstream/support.ts';

const message = envelope(
  '{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"echo","arguments":{"x":1},"_meta":{"progressToken":7}}}',
);
const place = Buffer.from('00000001000102030405060708090a0b', 'hex');
const inSession = { type: 'session', call: 4, server: 'fs', place } as const;
const call: ToOwner = {
  type: 'call',
  call: 3,
  server: 'fs',
  key: 'api_key:alice',
  restPath: '',
  principalKey: 'api_key:alice',
  modern: null,
  message,
};
const modern: ToOwner = {
  ...call,
  modern: { params: ['mcp-param-region', 'eu'] },
  message: envelope(
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/logLevel":"info"}}}',
  ),
};

describe('messages to the worker that has the child', () => {
  it('arrive as they were sent, with every part of the message where it was', () => {
    const all: readonly ToOwner[] = [
      call,
      { ...call, type: 'notify', call: 0 },
      modern,
      { ...modern, modern: { params: null } },
      { ...modern, modern: { params: 'from_body' } },
      { type: 'gone', call: 3 },
      { type: 'probe', server: 'fs' },
      { type: 'pause', call: 3 },
      { type: 'resume', call: 3 },
      { type: 'want', server: 'fs', era: 'modern' },
      { type: 'bye' },
      { ...inSession, what: 'request', message, params: null },
      { ...inSession, what: 'request', message: modern.message, params: ['Mcp-Param-A', 'b'] },
      { ...inSession, what: 'notify', message },
      { ...inSession, what: 'respond', call: 0, message },
      { ...inSession, what: 'listen', from: 'r1.0' },
      { ...inSession, what: 'close' },
      { type: 'session', what: 'pause', call: 4 },
      { type: 'session', what: 'resume', call: 4 },
      { type: 'session', what: 'leave', call: 4 },
      { type: 'session', what: 'oldest', call: 4, server: 'fs', caller: 'hash' },
      { type: 'session', what: 'yield', call: 0, server: 'fs', caller: null },
      { type: 'session', what: 'gone', call: 4 },
    ];
    expect(all.map((one) => asToOwner(packToOwner(one)))).toEqual(all);
  });

  it('are refused when a part would lie outside of the bytes, or in the wrong order', () => {
    const packed = packToOwner(call) as { parts: unknown[]; bytes: Buffer };
    for (const [at, value] of [
      [2, 1000],
      [2, -2],
      [2, 1.5],
      [3, 5],
      [4, -1],
      [1, null],
      [0, 'batch'],
      [14, 1],
    ] as const) {
      const parts = packed.parts.with(at, value);
      expect(asToOwner({ ...packed, parts }), `${at} ${value}`).toBeNull();
    }
    expect(asToOwner({ ...packed, parts: packed.parts.slice(1) })).toBeNull();
    const claimed = packToOwner(modern) as { parts: unknown[] };
    const claim = claimed.parts.at(-1) as unknown[];
    for (const [at, value] of [
      [0, 1],
      [1, 5000],
      [1, 1.5],
      [2, -1],
      [6, -1],
    ] as const) {
      const parts = claimed.parts.with(-1, claim.with(at, value));
      expect(asToOwner({ ...claimed, parts }), `claim ${at} ${value}`).toBeNull();
    }
    expect(asToOwner({ ...claimed, parts: claimed.parts.with(-1, 'claim') })).toBeNull();
    // A call of one kind is none of the other.
    for (const wrong of [null, undefined, {}, { params: [1] }, 'from_body']) expect(asToOwner({ ...claimed, modern: wrong })).toBeNull();
    expect(asToOwner({ ...packed, modern: { params: null } })).toBeNull();
    expect(asToOwner({ type: 'want', server: 'fs', era: 'new' })).toBeNull();
    expect(asToOwner({ ...packed, bytes: 'text' })).toBeNull();
    expect(asToOwner({ ...packed, call: -1 })).toBeNull();
    const asked = packToOwner({ ...inSession, what: 'request', message, params: null }) as object;
    const wrong = [
      { parts: packed.parts.with(2, 1000) },
      { bytes: 'text' },
      { place: 'text' },
      { server: 1 },
      { call: 1.5 },
      { params: 'text' },
      { params: [1] },
      { what: 'open' },
    ];
    for (const part of wrong) expect(asToOwner({ ...asked, ...part }), JSON.stringify(part)).toBeNull();
  });

  it('are refused when they are anything else', () => {
    fc.assert(fc.property(fc.anything(), (value) => asToOwner(value) === null && asToCaller(value) === null));
    for (const type of ['call', 'notify', 'pause', 'want', 'fail', 'constructor', '']) expect(asToOwner({ type })).toBeNull();
  });
});

describe('messages to the worker that has the client', () => {
  const info = {
    protocolVersion: '2025-11-25',
    name: 'n',
    version: '1',
    serverInfo: '{"name":"n"}',
    capabilities: new Set(['tools', 'logging']),
    capabilitiesJson: '{"tools":{},"logging":{}}',
    instructions: null,
  };

  const known: PeerEra = {
    verdict: 'modern',
    info: { discover: '{}', hasTasks: false, life: 'lifelong', legacy: info },
    isUp: true,
    detail: '',
  };
  const unknown: PeerEra = { verdict: 'idle', info: null, isUp: false, detail: 'not asked yet' };

  it('arrive as they were sent', () => {
    const bytes = Buffer.from('{}');
    const all: readonly ToCaller[] = [
      { type: 'stream', call: 1 },
      { type: 'message', call: 1, bytes },
      { type: 'reply', call: 1, bytes, isError: true, code: -32603, life: 'lifelong' },
      { type: 'fail', call: 1, refusal: 'UPSTREAM_FAILED', detail: 'd', health: 'failed' },
      { type: 'cancelled', call: 1 },
      { type: 'busy', call: 1 },
      { type: 'free', server: 'fs' },
      { type: 'list_changed', server: 'fs', kind: 'tools' },
      { type: 'status', server: 'fs', status: { state: 'ready', detail: null, info, modern: known } },
      { type: 'status', server: 'fs', status: { state: 'down', detail: 'gone', info: null, modern: unknown } },
      { type: 'session', what: 'stream', call: 1 },
      { type: 'session', what: 'message', call: 1, bytes, isResponse: true, mark: { eventId: 'r1.1', retryMs: -1 } },
      { type: 'session', what: 'message', call: 1, bytes, isResponse: false, mark: null },
      { type: 'session', what: 'mark', call: 1, mark: { eventId: 'r1.0', retryMs: 1000 } },
      { type: 'session', what: 'reply', call: 1, bytes, isError: false, code: 0, mark: null },
      { type: 'session', what: 'suspended', call: 1 },
      { type: 'session', what: 'fail', call: 1, refusal: 'UPSTREAM_FAILED', detail: 'd', health: null },
      { type: 'session', what: 'over', call: 1 },
      { type: 'session', what: 'age', call: 1, unusedMs: -1 },
    ];
    expect(all.map((one) => asToCaller(packToCaller(one)))).toEqual(all);
  });

  it('are refused when a member is missing or of another kind', () => {
    const packed = { ...info, capabilities: ['tools'] };
    const modern = { ...known, info: { discover: '{}', hasTasks: true, life: '', legacy: packed } };
    const status = { state: 'ready', detail: null, info: packed, modern };
    expect(asToCaller({ type: 'status', server: 'fs', status })).not.toBeNull();
    expect(asToCaller({ type: 'status', server: 'fs', status: { ...status, state: 'fine' } })).toBeNull();
    expect(asToCaller({ type: 'status', server: 'fs', status: { ...status, info: {} } })).toBeNull();
    for (const part of [
      { verdict: 'new' },
      { isUp: 1 },
      { info: {} },
      { info: { discover: '{}', hasTasks: true, life: '', legacy: {} } },
      { detail: null },
    ]) {
      expect(asToCaller({ type: 'status', server: 'fs', status: { ...status, modern: { ...modern, ...part } } })).toBeNull();
    }
    for (const wrong of [{ isError: 'no' }, { life: 1 }, { code: 'x' }]) {
      expect(asToCaller({ type: 'reply', call: 1, bytes: Buffer.from('{}'), isError: false, code: 0, life: '', ...wrong })).toBeNull();
    }
    expect(asToCaller({ type: 'fail', call: 1, refusal: 'X', detail: 'd', health: 'fine' })).toBeNull();
    expect(asToCaller({ type: 'session', what: 'fail', call: 1, refusal: 'X', detail: 'd', health: 'fine' })).toBeNull();
    expect(asToCaller({ type: 'session', what: 'reply', call: 1, bytes: 'x', isError: false, code: 0 })).toBeNull();
    for (const mark of [undefined, {}, { eventId: 1, retryMs: 1 }, { eventId: 'x', retryMs: 0.5 }, 'x']) {
      expect(asToCaller({ type: 'session', what: 'message', call: 1, bytes: Buffer.from('{}'), isResponse: false, mark })).toBeNull();
    }
    expect(asToCaller({ type: 'session', what: 'mark', call: 1, mark: null })).toBeNull();
    expect(asToCaller({ type: 'session', what: 'over', call: -1 })).toBeNull();
    expect(asToCaller({ type: 'session', what: 'request', call: 1 })).toBeNull();
    expect(asToCaller({ type: 'session', what: 'age', call: 1, unusedMs: '1' })).toBeNull();
    expect(asToOwner({ type: 'session', what: 'yield', call: 0, server: 'fs', caller: 1 })).toBeNull();
  });
});
