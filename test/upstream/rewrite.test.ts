import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scanUpstreamMessage } from '../../src/mcp/upstream-message.ts';
import type { UpstreamMessage } from '../../src/mcp/upstream-message.ts';
import { PendingTable } from '../../src/upstream/pending.ts';
import type { PendingEntry } from '../../src/upstream/pending.ts';
import {
  cancelledBy,
  internalId,
  notificationToUpstream,
  progressToClient,
  replyToClient,
  toUpstream,
} from '../../src/upstream/rewrite.ts';
import { FakeClock } from './fake-clock.ts';
import { envelope, Sink } from './support.ts';

function table(): PendingTable {
  return new PendingTable({
    clock: new FakeClock(),
    maxEntries: 10,
    deadlinesOf: () => ({ timeoutMs: 1000, timeoutMaxMs: 1000 }),
    onExpired: () => {},
  });
}

function entryFor(text: string): { sent: Record<string, unknown>; entry: PendingEntry } {
  const pending = table();
  for (let count = 0; count < 4; count += 1) pending.addOwn(new Sink(), 10);
  const message = envelope(text);
  const entry = pending.add(message, 'api_key:alice', new Sink());
  if (entry === null) throw new Error('full');
  return { sent: JSON.parse(toUpstream(message, entry).toString()) as Record<string, unknown>, entry };
}

function scanned(text: string): { bytes: Buffer; message: UpstreamMessage } {
  const bytes = Buffer.from(text);
  const message = scanUpstreamMessage(bytes, { maxDepth: 64 });
  if (message === null) throw new Error('not a message');
  return { bytes, message };
}

describe('toUpstream', () => {
  it('replaces id and progress token whichever comes first, and nothing else', () => {
    const tokenFirst = '{"params":{"_meta":{"progressToken":"tok"},"big":12345678901234567890},"method":"x/y","id":"abc","jsonrpc":"2.0"}';
    const idFirst = '{"jsonrpc":"2.0","id":"abc","method":"x/y","params":{"big":12345678901234567890,"_meta":{"progressToken":"tok"}}}';
    for (const text of [tokenFirst, idFirst]) {
      const message = envelope(text);
      const entry = table().add(message, 'api_key:alice', new Sink());
      if (entry === null) throw new Error('full');
      expect(toUpstream(message, entry).toString()).toBe(text.replace('"abc"', '1').replace('"tok"', '1'));
    }
  });

  it('leaves ids in the arguments alone', () => {
    const { sent } = entryFor('{"jsonrpc":"2.0","id":9,"method":"x/y","params":{"name":"t","arguments":{"id":9,"progressToken":9}}}');
    expect(sent).toMatchObject({ id: 5, params: { arguments: { id: 9, progressToken: 9 } } });
  });
});

describe('toUpstream without tasks', () => {
  const call = (params: string): string => `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":${params}}`;

  it.each([
    ['first', '{ "task" : {"ttl":1} , "name":"x"}', '{"name":"x"}'],
    ['in the middle', '{"name":"x", "task":{"ttl":[1,{"a":"}"}]},"arguments":{}}', '{"name":"x","arguments":{}}'],
    ['last', '{"name":"x","task":null }', '{"name":"x" }'],
    ['spelt with an escape', String.raw`{"name":"x","t\u0061sk":{"ttl":60000}}`, '{"name":"x"}'],
  ])('cuts a task %s, which would start work that nobody can fetch', (_where, params, left) => {
    expect(entryFor(call(params)).sent['params']).toEqual(JSON.parse(left));
  });

  it('leaves a task in the arguments alone', () => {
    const { sent } = entryFor(call('{"name":"x","arguments":{"task":{"ttl":1}}}'));
    expect(sent['params']).toEqual({ name: 'x', arguments: { task: { ttl: 1 } } });
  });
});

describe('replyToClient and progressToClient', () => {
  it('restore any id and token byte for byte', () => {
    const token = fc.oneof(fc.integer(), fc.string()).map((value) => JSON.stringify(value));
    fc.assert(
      fc.property(token, token, (id, progress) => {
        const { entry } = entryFor(`{"jsonrpc":"2.0","id":${id},"method":"x","params":{"_meta":{"progressToken":${progress}}}}`);
        const reply = scanned('{"result":{"id":5},"jsonrpc":"2.0","id":5}');
        expect(replyToClient(reply.bytes, reply.message, entry).toString()).toBe(`{"result":{"id":5},"jsonrpc":"2.0","id":${id}}`);
        const step = scanned('{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":5,"progress":1}}');
        expect(progressToClient(step.bytes, step.message, entry)?.toString()).toContain(`"progressToken":${progress},`);
      }),
    );
  });

  it('gives no progress to a client that asked for none', () => {
    const { entry } = entryFor('{"jsonrpc":"2.0","id":1,"method":"x"}');
    const step = scanned('{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":5,"progress":1}}');
    expect(progressToClient(step.bytes, step.message, entry)).toBeNull();
  });
});

describe('notificationToUpstream', () => {
  const cancel = (requestId: unknown): string =>
    JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId, reason: 'r' } });

  it('translates the request of a cancellation for its owner only', () => {
    const pending = table();
    pending.addOwn(new Sink(), 10);
    const entry = pending.add(envelope('{"jsonrpc":"2.0","id":"q","method":"x"}'), 'api_key:alice', new Sink());
    const found = cancelledBy(envelope(cancel('q')), 'api_key:alice', pending);
    expect(found).toBe(entry);
    const sent = notificationToUpstream(envelope(cancel('q')), found);
    expect(JSON.parse(String(sent))).toMatchObject({ params: { requestId: entry?.id, reason: 'r' } });
    expect(cancelledBy(envelope(cancel('q')), 'api_key:bob', pending)).toBeNull();
    expect(cancelledBy(envelope(cancel(entry?.id)), 'api_key:bob', pending)).toBeNull();
    expect(cancelledBy(envelope(cancel('other')), 'api_key:alice', pending)).toBeNull();
    expect(notificationToUpstream(envelope(cancel('other')), null)).toBeNull();
  });

  it('passes other notifications as they are', () => {
    const message = envelope('{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}');
    expect(cancelledBy(message, 'api_key:alice', table())).toBeNull();
    expect(notificationToUpstream(message, null)).toBe(message.bytes);
  });
});

describe('internalId', () => {
  it('reads only what the gateway itself would have written', () => {
    const read = (text: string): number => internalId(Buffer.from(text), 0, text.length);
    expect(['1', '42', '999999999999999'].map(read)).toEqual([1, 42, 999_999_999_999_999]);
    expect(['', '0', '01', '-1', '1.0', '1e3', '"1"', ' 1', '9999999999999999'].map(read)).toEqual(Array.from({ length: 9 }, () => -1));
  });
});
