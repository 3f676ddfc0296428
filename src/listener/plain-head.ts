import type { HeaderList } from '../core/exchange.ts';
import type { FieldText } from '../core/field-text.ts';
import { NO_FIELDS } from '../core/field-text.ts';
import { hasFields, limitFields, type LimitFigures } from '../core/limit-fields.ts';
import { answerLines } from './answer-head.ts';

/** Headers of nearly every answer, but for the value of the first. */
const PLAIN: HeaderList = ['x-request-id', '', 'content-type', 'application/json', 'cache-control', 'no-store'];
/** Length of the ids that the gateway makes. */
const ID_CHARS = 36;
/** Limits are few, and so are the numbers of digits of their figures. Beyond, all are forgotten. */
const MAX_TEMPLATES = 256;
/** More than `digitsOf` gives. */
const DIGITS = 11;
const MAX_FIGURE = 2 ** 31 - 1;

/** Bytes of a head, and where in them the figures of the limit stand. */
interface Template {
  readonly bytes: Uint8Array;
  readonly remainingAt: readonly number[];
  readonly remainingDigits: number;
  readonly resetAt: readonly number[];
  readonly resetDigits: number;
}

/** By what never changes of the limit, and numbers of digits. */
const templates = new Map<FieldText, (Template | undefined)[]>();
let count = 0;
/** Of the answer before: most are of the same limit. */
let lastPolicy: FieldText = NO_FIELDS;
let ofLast: (Template | undefined)[] = [];

/** Whether `plainHead` may be asked for them: they are those of nearly every answer, and fit to be written (`answerLines`). */
export function isPlain(headers: HeaderList): boolean {
  if (headers.length !== PLAIN.length || headers[0] !== PLAIN[0]) return false;
  for (let i = 2; i < PLAIN.length; i++) if (headers[i] !== PLAIN[i]) return false;
  const id = headers[1] as string;
  if (id.length !== ID_CHARS) return false;
  for (let at = 0; at < ID_CHARS; at++) {
    const unit = id.charCodeAt(at);
    if (unit < 0x20 || unit > 0x7e) return false;
  }
  return true;
}

/**
 * The same as `answerLines`, with `last` behind it, in bytes: they are made once, and only the request's id and the figures of its limit are
 * written anew. A text of a dozen pieces would be joined, measured and copied twice on its way through µWS (`native-bench/answer-lines.ts`).
 * Valid until the next call. Null: to be written as text.
 * @param last always the same
 */
export function plainHead(headers: HeaderList, figures: LimitFigures | undefined, last: string): Uint8Array | null {
  const isTold = hasFields(figures);
  const remaining = isTold ? figures.limitRemaining : 0;
  const resetSecs = isTold ? figures.limitResetSecs : 0;
  if (!isFigure(remaining) || !isFigure(resetSecs)) return null;
  const template = templateOf(isTold ? figures.limitPolicy : NO_FIELDS, digitsOf(remaining), digitsOf(resetSecs), last);
  const { bytes } = template;
  const id = headers[1] as string;
  for (let at = 0; at < ID_CHARS; at++) bytes[at] = id.charCodeAt(at);
  writeDigits(bytes, template.remainingAt, template.remainingDigits, remaining);
  writeDigits(bytes, template.resetAt, template.resetDigits, resetSecs);
  return bytes;
}

function isFigure(value: number): boolean {
  return value >= 0 && value <= MAX_FIGURE && Math.floor(value) === value;
}

function digitsOf(value: number): number {
  let digits = 1;
  for (let power = 10; value >= power; power *= 10) digits += 1;
  return digits;
}

function writeDigits(bytes: Uint8Array, places: readonly number[], digits: number, value: number): void {
  let rest = value;
  for (let digit = digits - 1; digit >= 0; digit--) {
    const next = (rest / 10) | 0;
    const unit = 48 + rest - next * 10;
    for (let i = 0; i < places.length; i++) bytes[(places[i] as number) + digit] = unit;
    rest = next;
  }
}

function templateOf(policy: FieldText, remainingDigits: number, resetDigits: number, last: string): Template {
  const shape = remainingDigits * DIGITS + resetDigits;
  if (policy !== lastPolicy) {
    lastPolicy = policy;
    ofLast = templates.get(policy) ?? [];
  }
  const known = ofLast[shape];
  if (known !== undefined) return known;
  if (count >= MAX_TEMPLATES) {
    templates.clear();
    ofLast = [];
    count = 0;
  }
  const template = makeTemplate(policy, remainingDigits, resetDigits, last);
  ofLast[shape] = template;
  templates.set(policy, ofLast);
  count += 1;
  return template;
}

/** Where the figures stand is where the text changes with them. */
function makeTemplate(policy: FieldText, remainingDigits: number, resetDigits: number, last: string): Template {
  const write = (remaining: number, resetSecs: number): string => {
    const figures = { limitPolicy: policy, limit: policy === NO_FIELDS ? -1 : 0, limitRemaining: remaining, limitResetSecs: resetSecs };
    return answerLines(200, ['x-request-id', '-'.repeat(ID_CHARS), ...PLAIN.slice(2)], limitFields(figures)) + last;
  };
  const [remaining, resetSecs] = [ones(remainingDigits), ones(resetDigits)];
  const text = write(remaining, resetSecs);
  return {
    bytes: Uint8Array.from(Buffer.from(text, 'latin1')),
    remainingAt: placesOf(text, write(2 * remaining, resetSecs)),
    remainingDigits,
    resetAt: placesOf(text, write(remaining, 2 * resetSecs)),
    resetDigits,
  };
}

/** `1`, `11`, `111` … */
function ones(digits: number): number {
  return Number('1'.repeat(digits));
}

/** First places of the runs in which the texts differ. */
function placesOf(one: string, other: string): number[] {
  const places: number[] = [];
  let wasOther = false;
  for (let at = 0; at < one.length; at++) {
    const isOther = one[at] !== other[at];
    if (isOther && !wasOther) places.push(at);
    wasOther = isOther;
  }
  return places;
}
