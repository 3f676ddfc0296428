/** Replaces the bytes `[start, end)` by a text; an empty span inserts. */
export interface Edit {
  start: number;
  end: number;
  text: string;
}

/** A copy of `bytes` with some spans replaced. Edits come in ascending order and do not overlap. */
export function splice(bytes: Buffer, edits: readonly Edit[]): Buffer {
  let length = bytes.length;
  let from = 0;
  for (const { start, end, text } of edits) {
    if (start < from || end < start || end > bytes.length) throw new RangeError('edits overlap, are out of order or out of range');
    length += Buffer.byteLength(text) - (end - start);
    from = end;
  }
  const out = Buffer.allocUnsafe(length);
  let at = 0;
  from = 0;
  for (const { start, end, text } of edits) {
    at += bytes.copy(out, at, from, start);
    at += out.write(text, at);
    from = end;
  }
  bytes.copy(out, at, from);
  return out;
}
