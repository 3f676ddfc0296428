import { AUDIT_EVENTS, type AuditEventType, type AuditRecord } from '../core/audit.ts';
import type { PrincipalNotes } from '../core/principal.ts';
import { THREE_DIGITS, wholeText } from '../core/whole-text.ts';
import { buildFieldEncoder, CACHED_IDENTITIES, cutField, inOnePiece, quote } from './field.ts';
import type { Redact } from './redact.ts';

/** What the writer adds to a record. */
export interface RecordStamp {
  /** Wall-clock milliseconds. */
  readonly wallMs: number;
  /** Counts the records of a worker from 1, dropped ones too: a gap is a loss. */
  readonly seq: number;
  readonly worker: number;
}

/** Up to here a hundredth can be told. */
const MAX_DECIMAL = 2 ** 40;
/** Length of a UUID, the form of the ids that the gateway mints itself: nothing in them to redact, and they never repeat. */
const UUID_CHARS = 36;
const DASH = 45;
/** Whole parts of which the texts are kept: records of requests that began within so many milliseconds come in any order. */
const KEPT_WHOLES = 16;

/** Each piece of a line costs its writer, so what stands beside each other and hardly changes is one. */
const AFTER_TIME = Object.fromEntries(AUDIT_EVENTS.map((event) => [event, `Z","event_type":"${event}","seq":`])) as Record<
  AuditEventType,
  string
>;
const DECISIONS = { allow: ',"decision":"allow"', deny: ',"decision":"deny"' } as const;

/**
 * Serialises audit records: one line of JSON with its newline, fields always in the same order (`docs/audit.md`), control
 * characters escaped, strings redacted and cut. Written by hand: half a microsecond a record, less than half of what redacting into an
 * object and JSON.stringify costs (`native-bench/audit-record.ts`).
 */
export function buildRecordLine(redact: Redact): (record: AuditRecord, stamp: RecordStamp) => string {
  const identity = buildFieldEncoder('identity', redact, CACHED_IDENTITIES);
  const provider = buildFieldEncoder('provider', redact);
  const clientIp = buildFieldEncoder('client_ip', redact);
  const session = buildFieldEncoder('session', redact);
  const server = buildFieldEncoder('server', redact);
  const method = buildFieldEncoder('method', redact);
  const tool = buildFieldEncoder('tool', redact);
  const resource = buildFieldEncoder('resource', redact);
  const reason = buildFieldEncoder('reason', redact);
  const detail = buildFieldEncoder('detail', redact);
  const policyVersion = buildFieldEncoder('policy_version', redact);
  const noted = (id: string, notes: PrincipalNotes): string => {
    if (notes.encoder === identity) return notes.member;
    notes.encoder = identity;
    notes.member = identity(id);
    return notes.member;
  };
  const encodeId = (id: string): string => (isUuid(id) ? `"${id}"` : quote(cutField(id, redact)));
  const start = buildStart();
  const allowedMs = buildDecimal(`${DECISIONS.allow},"decided_ms":`);
  const decidedMs = buildDecimal(',"decided_ms":');
  const status = buildWhole(',"status":');
  const durationMs = buildDecimal(',"duration_ms":');
  return (record, stamp) => {
    const { decision, reason: why, limit, decided_ms: decided } = record;
    let line = start(record.event_type, stamp);
    if (record.request_id !== undefined)
      line += record.isIdMinted === true ? `,"request_id":"${record.request_id}"` : `,"request_id":${encodeId(record.request_id)}`;
    if (record.identity !== undefined)
      line += record.notes === undefined ? identity(record.identity) : noted(record.identity, record.notes);
    if (record.provider !== undefined) line += provider(record.provider);
    if (record.client_ip !== undefined) line += clientIp(record.client_ip);
    if (record.session !== undefined) line += session(record.session);
    if (record.server !== undefined) line += server(record.server);
    if (record.method !== undefined) line += method(record.method);
    if (record.tool !== undefined) line += tool(record.tool);
    if (record.resource !== undefined) line += resource(record.resource);
    if (decided !== undefined && decision === 'allow' && why === undefined && limit === undefined) {
      line += allowedMs(decided);
    } else {
      if (decision !== undefined) line += DECISIONS[decision];
      if (why !== undefined) line += reason(why);
      if (limit !== undefined) line += `,"limit":"${limit}"`;
      if (decided !== undefined) line += decidedMs(decided);
    }
    if (record.detail !== undefined) line += detail(record.detail);
    if (record.status !== undefined) line += status(record.status);
    if (record.duration_ms !== undefined) line += durationMs(record.duration_ms);
    if (record.error_id !== undefined) line += `,"error_id":${encodeId(record.error_id)}`;
    if (record.policy_version !== undefined) line += policyVersion(record.policy_version);
    return `${line}}\n`;
  };
}

/** A lower-case UUID. Not a regular expression, which costs 1.5 µs: it counts its repetitions on a stack of its own. */
function isUuid(id: string): boolean {
  if (id.length !== UUID_CHARS) return false;
  for (let at = 0; at < UUID_CHARS; at++) {
    const unit = id.charCodeAt(at);
    if (at === 8 || at === 13 || at === 18 || at === 23) {
      if (unit !== DASH) return false;
    } else if (!((unit >= 48 && unit <= 57) || (unit >= 97 && unit <= 102))) {
      return false;
    }
  }
  return true;
}

/** `.01` … `.99`, without zeros at the end. */
const HUNDREDTHS: readonly string[] = Array.from({ length: 100 }, (_, count) => String(count / 100).slice(1));

/**
 * A member with a number of at most two decimals; JSON has no NaN or infinity. Digits of a number with a fraction are costly to find (0.3 µs for
 * times), so the texts of the last whole parts are kept, with what stands before them: of one millisecond there are a dozen records. Not three
 * decimals: a thousand texts, of which each record needs two anywhere among them, are in no cache when they are needed, which costs 0.08 µs each.
 */
function buildDecimal(prefix: string): (value: number) => string {
  const wholes = new Float64Array(KEPT_WHOLES).fill(-1);
  const texts: string[] = Array.from(wholes, () => '');
  return (value) => {
    if (!(value >= 0 && value <= MAX_DECIMAL)) return prefix + rareDecimal(value);
    const hundredths = Math.round(value * 100);
    const whole = Math.floor(hundredths / 100);
    const at = whole % KEPT_WHOLES;
    if (wholes[at] !== whole) {
      wholes[at] = whole;
      texts[at] = inOnePiece(prefix + wholeText(whole));
    }
    return (texts[at] as string) + (HUNDREDTHS[hundredths - whole * 100] as string);
  };
}

/** A member with a whole number, which is mostly the one of the record before. */
function buildWhole(prefix: string): (value: number) => string {
  let last = Number.NaN;
  let text = '';
  return (value) => {
    if (value === last) return text;
    last = Number.isFinite(value) ? value : 0;
    text = inOnePiece(`${prefix}${last}`);
    return text;
  };
}

function rareDecimal(value: number): string {
  if (!Number.isFinite(value)) return '0';
  return String(Math.abs(value) <= MAX_DECIMAL ? Math.round(value * 100) / 100 : value);
}

/**
 * The line up to the members that a record brings itself. The time is RFC 3339 in UTC with milliseconds; the text of the last second is kept: making it costs
 * 0.6 µs, and under load hardly a millisecond is met twice.
 */
function buildStart(): (event: AuditEventType, stamp: RecordStamp) => string {
  const number = buildWhole(',"worker":');
  let last = Number.NaN;
  let text = '';
  return (event, { wallMs, seq, worker }) => {
    const second = Math.floor(wallMs / 1000);
    if (second !== last) {
      last = second;
      text = inOnePiece(`{"timestamp":"${new Date(second * 1000).toISOString().slice(0, -'000Z'.length)}`);
    }
    return text + (THREE_DIGITS[Math.floor(wallMs) - second * 1000] as string) + AFTER_TIME[event] + wholeText(seq) + number(worker);
  };
}
