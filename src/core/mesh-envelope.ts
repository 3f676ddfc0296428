import type { Envelope } from './envelope.ts';

/** What a message claims of revision 2026-07-28 is no matter of children that are shaken hands with. */
type FieldName = Exclude<keyof Envelope, 'bytes' | 'modern'>;
type FieldKind = 'kind' | 'text' | 'maybe_text' | 'offset';

/** Every part of an envelope beside its bytes, in the order in which they travel. */
const FIELDS: Readonly<Record<FieldName, FieldKind>> = {
  kind: 'kind',
  method: 'text',
  idStart: 'offset',
  idEnd: 'offset',
  paramsStart: 'offset',
  paramsEnd: 'offset',
  name: 'maybe_text',
  uri: 'maybe_text',
  tokenStart: 'offset',
  tokenEnd: 'offset',
  requestIdStart: 'offset',
  requestIdEnd: 'offset',
  taskStart: 'offset',
  taskEnd: 'offset',
  protocolVersion: 'maybe_text',
  taskId: 'maybe_text',
  metaStart: 'offset',
  metaEnd: 'offset',
};
const NAMES = Object.keys(FIELDS) as readonly FieldName[];
const KINDS: ReadonlySet<unknown> = new Set<Envelope['kind']>(['request', 'notification', 'response']);

/** An envelope's parts beside its bytes, as a list. */
export function envelopeParts(envelope: Envelope): unknown[] {
  return NAMES.map((name) => envelope[name]);
}

/** The envelope of these bytes again. Null unless each part is of its kind, and every pair of offsets is absent (−1) or lies within the bytes. */
export function asEnvelope(parts: unknown, bytes: Buffer): Envelope | null {
  if (!Array.isArray(parts) || parts.length !== NAMES.length) return null;
  const envelope: Record<string, unknown> = { bytes, modern: null };
  for (const [at, name] of NAMES.entries()) {
    const part: unknown = parts[at];
    if (!isFit(FIELDS[name], part, bytes.length)) return null;
    envelope[name] = part;
  }
  return areSpans(envelope) ? (envelope as unknown as Envelope) : null;
}

function isFit(kind: FieldKind, part: unknown, length: number): boolean {
  switch (kind) {
    case 'kind':
      return KINDS.has(part);
    case 'text':
      return typeof part === 'string';
    case 'maybe_text':
      return part === null || typeof part === 'string';
    case 'offset':
      return Number.isInteger(part) && (part as number) >= -1 && (part as number) <= length;
  }
}

/** Each start stands before its end, or both are absent. */
function areSpans(envelope: Readonly<Record<string, unknown>>): boolean {
  return NAMES.every((name) => {
    if (!name.endsWith('Start')) return true;
    const [start, end] = [Number(envelope[name]), Number(envelope[name.replace(/Start$/, 'End')])];
    return start === -1 ? end === -1 : start <= end;
  });
}
