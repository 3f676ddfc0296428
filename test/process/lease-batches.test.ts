import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LimitName } from '../../src/core/limit.ts';
import type { FailMode } from '../../src/core/principal.ts';
import { type LeaseBatch, MAX_BATCH_ENTRIES, type SlotAsk } from '../../src/limit/lease-port.ts';
import { MAX_FRAME_BYTES } from '../../src/process/frames.ts';
import { readBatch, writeBatch } from '../../src/process/lease-batches.ts';

const count = fc.nat({ max: 2 ** 30 });
const key = fc.string({ maxLength: 120, unit: 'grapheme' });
const rate = fc.double({ min: 1e-6, max: 1e9, noNaN: true });
const ask: fc.Arbitrary<SlotAsk> = fc
  .record({
    slot: fc.nat({ max: 2 ** 21 }),
    generation: fc.nat({ max: 4095 }),
    key,
    limit: fc.constantFrom<LimitName>('address', 'principal', 'tool', 'method', 'in_flight', 'upstream'),
    spec: fc.record({ perSecond: rate, burst: rate, failMode: fc.constantFrom<FailMode>('local', 'closed', 'open') }),
    want: fc.integer({ min: 1, max: 2 ** 30 }),
    least: fc.double({ min: 0, max: 1, noNaN: true }),
    have: count,
  })
  .map(({ least, ...rest }) => ({ ...rest, atLeast: Math.floor(rest.want * least), ahead: Math.floor(rest.want * (1 - least)) }));
const batch: fc.Arbitrary<LeaseBatch> = fc.record({
  stamp: fc.double({ min: 0, max: 1e12, noNaN: true }),
  sentMs: fc.double({ min: 0, max: 1e12, noNaN: true }),
  isReset: fc.boolean(),
  returns: fc.array(fc.record({ key, tokens: count, have: count, recall: fc.nat({ max: 2 ** 32 - 1 }) }), { maxLength: 5 }),
  asks: fc.array(ask, { maxLength: 5 }),
});

const ASK: SlotAsk = {
  slot: 7,
  generation: 4095,
  key: 'api_key:alice',
  limit: 'principal',
  spec: { perSecond: 10, burst: 20, failMode: 'local' },
  want: 5,
  atLeast: 1,
  have: 2,
  ahead: 4,
};

function batchOf(...asks: SlotAsk[]): LeaseBatch {
  return { stamp: 1.5, sentMs: 2.5, isReset: false, returns: [], asks };
}

function readBack(sent: LeaseBatch): LeaseBatch | null {
  return readBatch(writeBatch(sent, 0));
}

describe('batches of leases as bytes', () => {
  it('arrive as they were sent', () => {
    fc.assert(
      fc.property(batch, (sent) => {
        expect(readBack(sent)).toEqual(sent);
      }),
    );
  });

  it('leave room in front', () => {
    const bytes = writeBatch(batchOf(ASK), 8);
    expect([...bytes.subarray(0, 8)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect(readBatch(bytes.subarray(8))).toEqual(batchOf(ASK));
  });

  it('are refused when any byte is missing or too many', () => {
    const bytes = writeBatch({ ...batchOf(ASK, ASK), returns: [{ key: 'tool:x', tokens: 1, have: 0, recall: 0 }] }, 0);
    for (let length = 0; length < bytes.length; length++) expect(readBatch(bytes.subarray(0, length))).toBeNull();
    expect(readBatch(Buffer.concat([bytes, Buffer.alloc(1)]))).toBeNull();
  });

  it('never make the reader throw, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        const read = readBatch(noise);
        expect(read === null || read.asks.length + read.returns.length <= MAX_BATCH_ENTRIES).toBe(true);
      }),
    );
  });

  it.each([
    ['a rate that is no number', { spec: { ...ASK.spec, perSecond: Number.NaN } }],
    ['a rate of zero', { spec: { ...ASK.spec, perSecond: 0 } }],
    ['an endless burst', { spec: { ...ASK.spec, burst: Number.POSITIVE_INFINITY } }],
    ['no tokens wanted', { want: 0, atLeast: 0 }],
    ['more needed than wanted', { atLeast: 6 }],
    ['more held than any burst', { have: 2 ** 30 + 1 }],
  ])('are refused with %s', (_what, fault) => {
    expect(readBack(batchOf({ ...ASK, ...fault }))).toBeNull();
  });

  it('are refused with names that do not exist', () => {
    const bytes = writeBatch(batchOf(ASK), 0);
    for (const at of [21 + 6, 21 + 7]) {
      const other = bytes.slice();
      other[at] = 77;
      expect(readBatch(other)).toBeNull();
    }
  });

  it('carry a long key as one digest, the same for every worker, so that no name is too long to be limited', () => {
    const long = `tool:api_key:alice:${'x'.repeat(100_000)}`;
    const first = readBack(batchOf({ ...ASK, key: long }))?.asks[0]?.key;
    expect(first).toMatch(/^sha256:[\w+/]{43}=$/);
    expect(readBack(batchOf({ ...ASK, key: long }))?.asks[0]?.key).toBe(first);
    expect(readBack(batchOf({ ...ASK, key: `${long}y` }))?.asks[0]?.key).not.toBe(first);
    expect(readBack({ ...batchOf(), returns: [{ key: long, tokens: 1, have: 0, recall: 0 }] })?.returns[0]?.key).toBe(first);
  });

  it('fit into a frame with as many entries as there may be, and no more are written', () => {
    const full = batchOf(...Array.from({ length: MAX_BATCH_ENTRIES }, () => ({ ...ASK, key: 'é'.repeat(256) })));
    expect(writeBatch(full, 0).length).toBeLessThanOrEqual(MAX_FRAME_BYTES);
    expect(readBack(full)).toEqual(full);
    expect(() => writeBatch(batchOf(...full.asks, ASK), 0)).toThrow(RangeError);
  });
});
