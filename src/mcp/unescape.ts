const BACKSLASH = 0x5c;

/** Value of a hexadecimal digit, 255 for any other byte. */
export const HEX: Uint8Array = new Uint8Array(256).fill(255);
for (let digit = 0; digit < 16; digit++) {
  const text = digit.toString(16);
  HEX[text.charCodeAt(0)] = digit;
  HEX[text.toUpperCase().charCodeAt(0)] = digit;
}

const SIMPLE = new Uint8Array(256);
for (const [letter, byte] of [
  ['"', 0x22],
  ['\\', 0x5c],
  ['/', 0x2f],
  ['b', 8],
  ['f', 12],
  ['n', 10],
  ['r', 13],
  ['t', 9],
] as const) {
  SIMPLE[letter.charCodeAt(0)] = byte;
}

/** Byte that a one-letter escape stands for, 0 when the letter is none (`u` included). */
export function simpleEscape(letter: number): number {
  return SIMPLE[letter] as number;
}

function unit(bytes: Uint8Array, at: number): number {
  return (
    ((HEX[bytes[at] as number] as number) << 12) |
    ((HEX[bytes[at + 1] as number] as number) << 8) |
    ((HEX[bytes[at + 2] as number] as number) << 4) |
    (HEX[bytes[at + 3] as number] as number)
  );
}

function putUtf8(target: Uint8Array, at: number, point: number): number {
  if (point < 0x80) {
    target[at] = point;
    return at + 1;
  }
  if (point < 0x800) {
    target[at] = 0xc0 | (point >> 6);
    target[at + 1] = 0x80 | (point & 63);
    return at + 2;
  }
  if (point < 0x10000) {
    target[at] = 0xe0 | (point >> 12);
    target[at + 1] = 0x80 | ((point >> 6) & 63);
    target[at + 2] = 0x80 | (point & 63);
    return at + 3;
  }
  target[at] = 0xf0 | (point >> 18);
  target[at + 1] = 0x80 | ((point >> 12) & 63);
  target[at + 2] = 0x80 | ((point >> 6) & 63);
  target[at + 3] = 0x80 | (point & 63);
  return at + 4;
}

/**
 * Writes the UTF-8 form of the JSON string body `bytes[from, to)` (already checked for valid escapes) to `target` at
 * `at`, and returns the offset behind it; −1 when it escapes a lone surrogate, which has no UTF-8 form. Never longer
 * than the input.
 */
export function unescapeInto(target: Uint8Array, at: number, bytes: Uint8Array, from: number, to: number): number {
  let out = at;
  for (let p = from; p < to; ) {
    const byte = bytes[p] as number;
    if (byte !== BACKSLASH) {
      target[out++] = byte;
      p++;
      continue;
    }
    const simple = simpleEscape(bytes[p + 1] as number);
    if (simple !== 0) {
      target[out++] = simple;
      p += 2;
      continue;
    }
    let point = unit(bytes, p + 2);
    p += 6;
    if (point >= 0xd800 && point <= 0xdfff) {
      if (point > 0xdbff || p + 6 > to || bytes[p] !== BACKSLASH || bytes[p + 1] !== 0x75) return -1;
      const low = unit(bytes, p + 2);
      if (low < 0xdc00 || low > 0xdfff) return -1;
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
      p += 6;
    }
    out = putUtf8(target, out, point);
  }
  return out;
}
