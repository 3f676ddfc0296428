import { randomBytes } from 'node:crypto';

const secret = randomBytes(8);
const KEY_0 = secret.readInt32LE(0);
const KEY_1 = secret.readInt32LE(4);

/**
 * HalfSipHash-1-3 of `bytes[from, to)` under a key drawn at process start: whoever chooses the bytes cannot aim for
 * collisions. 32 bits, for hash tables only.
 */
export function keyedHash(bytes: Uint8Array, from: number, to: number): number {
  let v0 = KEY_0;
  let v1 = KEY_1;
  let v2 = 0x6c796765 ^ KEY_0;
  let v3 = 0x74656462 ^ KEY_1;
  const length = to - from;
  // One word per turn, then the rest with the length, then the three finishing rounds.
  const turns = (length >>> 2) + 4;
  for (let turn = 0; turn < turns; turn++) {
    const at = from + (turn << 2);
    let word = 0;
    if (at + 4 <= to) {
      word =
        (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
    } else if (turn === turns - 4) {
      word = length << 24;
      if (at < to) word |= bytes[at] as number;
      if (at + 1 < to) word |= (bytes[at + 1] as number) << 8;
      if (at + 2 < to) word |= (bytes[at + 2] as number) << 16;
    } else if (turn === turns - 3) {
      v2 ^= 0xff;
    }
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  return v1 ^ v3;
}
