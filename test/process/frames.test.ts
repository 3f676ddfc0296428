import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameReader, framed, MAX_FRAME_BYTES } from '../../src/process/frames.ts';

/** Feeds the pieces one after the other; null when the reader refused one. */
function read(pieces: readonly Uint8Array[]): number[][] | null {
  const reader = new FrameReader();
  const frames: number[][] = [];
  for (const piece of pieces) if (!reader.push(piece, (frame) => frames.push([...frame]))) return null;
  return frames;
}

function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (const length of lengths) {
    pieces.push(bytes.slice(at, at + length));
    at += length;
  }
  return [...pieces, bytes.slice(at)];
}

describe('FrameReader', () => {
  it('finds the same frames however the stream is cut', () => {
    const payload = fc.uint8Array({ minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(fc.array(payload, { maxLength: 8 }), fc.array(fc.nat({ max: 30 }), { maxLength: 12 }), (payloads, lengths) => {
        const stream = Buffer.concat(payloads.map(framed));
        expect(read(cut(stream, lengths))).toEqual(payloads.map((bytes) => [...bytes]));
      }),
    );
  });

  it('does not depend on the memory of a piece after it was read', () => {
    const reader = new FrameReader();
    const frames: number[][] = [];
    const take = (frame: Uint8Array): void => void frames.push([...frame]);
    const stream = framed(new Uint8Array([1, 2, 3, 4]));
    const shared = stream.slice(0, 6);
    reader.push(shared, take);
    shared.fill(99);
    reader.push(stream.slice(6), take);
    expect(frames).toEqual([[1, 2, 3, 4]]);
  });

  it('takes the longest frame and refuses a longer one by its head', () => {
    const longest = framed(new Uint8Array(MAX_FRAME_BYTES));
    expect(read([longest])?.[0]).toHaveLength(MAX_FRAME_BYTES);
    const head = new Uint8Array(4);
    new DataView(head.buffer).setUint32(0, MAX_FRAME_BYTES + 1, true);
    expect(read([head])).toBeNull();
  });

  it('refuses an empty frame, of which a sender could send any number', () => {
    expect(read([new Uint8Array(4)])).toBeNull();
  });
});

describe('FrameReader and large frames', () => {
  it('puts a frame together that comes in many chunks, also when its length is cut in two, and goes on behind it', () => {
    const payload = Buffer.alloc(500_000, 'x');
    const bytes = Buffer.concat([framed(Buffer.from('first')), framed(payload), framed(Buffer.from('last'))]);
    for (const size of [1, 3, 7, 4096, 65_536]) {
      const seen: string[] = [];
      const reader = new FrameReader();
      for (let at = 0; at < bytes.length; at += size) {
        expect(reader.push(bytes.subarray(at, at + size), (frame) => seen.push(Buffer.from(frame).toString()))).toBe(true);
      }
      expect(seen).toEqual(['first', payload.toString(), 'last']);
    }
  });

  it('refuses what is longer than it was told, as soon as the length is there', () => {
    const reader = new FrameReader(10);
    expect(reader.push(framed(Buffer.alloc(10)), () => undefined)).toBe(true);
    expect(reader.push(framed(Buffer.alloc(11)).subarray(0, 4), () => undefined)).toBe(false);
  });
});
