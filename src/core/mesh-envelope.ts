import type { Envelope, ModernClaim } from './envelope.ts';

/** What a message claims of revision 2026-07-28 travels as a list of its own. */
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
  stateStart: 'offset',
  stateEnd: 'offset',
};
const NAMES = Object.keys(FIELDS) as readonly FieldName[];
const KINDS: ReadonlySet<unknown> = new Set<Envelope['kind']>(['request', 'notification', 'response']);

const CLAIMS: readonly Exclude<keyof ModernClaim, 'version'>[] = [
  'capabilitiesStart',
  'capabilitiesEnd',
  'clientInfoStart',
  'clientInfoEnd',
  'logLevelStart',
  'logLevelEnd',
];

/** An envelope's parts beside its bytes, as a list. */
export function envelopeParts(envelope: Envelope): unknown[] {
  const { modern } = envelope;
  const claim = modern === null ? null : [modern.version, ...CLAIMS.map((name) => modern[name])];
  return [...NAMES.map((name) => envelope[name]), claim];
}

/** The envelope of these bytes again. Null unless each part is of its kind, and every pair of offsets is absent (−1) or lies within the bytes. */
export function asEnvelope(parts: unknown, bytes: Buffer): Envelope | null {
  if (!Array.isArray(parts) || parts.length !== NAMES.length + 1) return null;
  const modern = asClaim(parts[NAMES.length], bytes.length);
  if (modern === undefined) return null;
  const envelope: Record<string, unknown> = { bytes, modern };
  for (const [at, name] of NAMES.entries()) {
    const part: unknown = parts[at];
    if (!isFit(FIELDS[name], part, bytes.length)) return null;
    envelope[name] = part;
  }
  return areSpans(NAMES, envelope) ? (envelope as unknown as Envelope) : null;
}

/** Undefined when it is none. */
function asClaim(value: unknown, length: number): ModernClaim | null | undefined {
  if (value === null) return null;
  if (!Array.isArray(value) || value.length !== CLAIMS.length + 1 || !isFit('maybe_text', value[0], length)) return undefined;
  const claim: Record<string, unknown> = { version: value[0] };
  for (const [at, name] of CLAIMS.entries()) {
    const offset: unknown = value[at + 1];
    if (!isFit('offset', offset, length)) return undefined;
    claim[name] = offset;
  }
  return areSpans(CLAIMS, claim) ? (claim as unknown as ModernClaim) : undefined;
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
function areSpans(names: readonly string[], envelope: Readonly<Record<string, unknown>>): boolean {
  return names.every((name) => {
    if (!name.endsWith('Start')) return true;
    const [start, end] = [Number(envelope[name]), Number(envelope[name.replace(/Start$/, 'End')])];
    return start === -1 ? end === -1 : start <= end;
  });
}
