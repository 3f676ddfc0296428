import { describe, expect, it } from 'vitest';
import { ByteStore } from '../../src/mcp/byte-store.ts';

describe('ByteStore', () => {
  it('keeps what is appended, in order, over many growths', () => {
    const store = new ByteStore();
    const pieces: Buffer[] = [];
    for (let i = 0; i < 300; i++) {
      const piece = Buffer.alloc(i, i & 255);
      pieces.push(piece, Buffer.of(i & 255));
      store.append(Buffer.concat([Buffer.of(1, 2), piece, Buffer.of(3)]), 2, 2 + i);
      store.appendByte(i & 255);
    }
    expect(store.view()).toEqual(Buffer.concat(pieces));
    expect(store.length).toBe(store.view().length);
  });

  it('is empty after clear, and gives back a large buffer', () => {
    const store = new ByteStore();
    store.append(Buffer.alloc(1 << 20), 0, 1 << 20);
    store.clear();
    expect(store.view()).toHaveLength(0);
    store.appendByte(7);
    expect(store.view().buffer.byteLength).toBeLessThan(70_000);
  });
});
