import type { AuditRecord } from '../../src/core/audit.ts';
import type { RequestContext } from '../../src/core/context.ts';
import type { Exchange } from '../../src/core/exchange.ts';
import { NO_FIELDS } from '../../src/core/field-text.ts';
import type { RequestHead } from '../../src/core/head.ts';
import type { Principal, ProviderName } from '../../src/core/principal.ts';

/** A metric of an exposition text. */
export interface ParsedFamily {
  readonly type: string;
  readonly help: string;
  readonly samples: { readonly name: string; readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`);
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,|$)/y;
const NUMBER = /^(?:[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?)|\+Inf|-Inf|NaN)$/;

/**
 * Reads Prometheus text format 0.0.4, strictly: every sample belongs to the family announced by HELP and TYPE before it,
 * no family and no series twice, labels well-formed, histograms complete, cumulative and ending in `+Inf` = `_count`.
 */
export function parseExposition(text: string): Map<string, ParsedFamily> {
  if (!text.endsWith('\n')) throw new Error('no newline at the end');
  const families = new Map<string, ParsedFamily>();
  const series = new Set<string>();
  let name = '';
  let help: string | null = null;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const helpLine = /^# HELP (\S+) (.+)$/.exec(line);
    const typeLine = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
    if (helpLine !== null) {
      name = helpLine[1] as string;
      help = helpLine[2] as string;
    } else if (typeLine !== null) {
      if (typeLine[1] !== name || help === null || families.has(name)) throw new Error(`misplaced: ${line}`);
      families.set(name, { type: typeLine[2] as string, help, samples: [] });
      help = null;
    } else addSample(families, name, series, line);
  }
  for (const [family, parsed] of families) if (parsed.type === 'histogram') checkHistogram(family, parsed);
  return families;
}

function addSample(families: Map<string, ParsedFamily>, family: string, series: Set<string>, line: string): void {
  const match = SAMPLE.exec(line);
  const parsed = families.get(family);
  if (match === null || parsed === undefined) throw new Error(`malformed: ${line}`);
  const [, name = '', labelText = '', number = ''] = match;
  const suffix = name.slice(family.length);
  const isOurs = name.startsWith(family) && (parsed.type === 'histogram' ? ['_bucket', '_sum', '_count'].includes(suffix) : suffix === '');
  if (!isOurs || !NUMBER.test(number)) throw new Error(`malformed: ${line}`);
  const labels = parseLabels(labelText);
  const key = name + JSON.stringify(Object.entries(labels).sort());
  if (series.has(key)) throw new Error(`twice: ${line}`);
  series.add(key);
  parsed.samples.push({ name, labels, value: Number(number.replace('Inf', 'Infinity')) });
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const match = LABEL.exec(text);
    if (match === null || (match[1] as string) in labels) throw new Error(`malformed labels: ${text}`);
    labels[match[1] as string] = (match[2] as string).replaceAll(/\\(.)/g, (_, unit: string) => (unit === 'n' ? '\n' : unit));
    if (LABEL.lastIndex === 0) break;
  }
  return labels;
}

function checkHistogram(family: string, { samples }: ParsedFamily): void {
  const groups = new Map<string, { le: number; value: number }[]>();
  for (const { name, labels, value } of samples.filter((sample) => sample.name === `${family}_bucket`)) {
    const { le, ...rest } = labels;
    if (le === undefined) throw new Error(`${name} without le`);
    const key = JSON.stringify(rest);
    groups.set(key, [...(groups.get(key) ?? []), { le: Number(le.replace('Inf', 'Infinity')), value }]);
  }
  const find = (suffix: string, key: string): number | undefined =>
    samples.find((sample) => sample.name === family + suffix && JSON.stringify(sample.labels) === key)?.value;
  for (const [key, buckets] of groups) {
    const isOrdered = buckets.every(
      (bucket, index) => index === 0 || (bucket.le > (buckets[index - 1]?.le ?? 0) && bucket.value >= (buckets[index - 1]?.value ?? 0)),
    );
    const last = buckets.at(-1);
    if (!isOrdered || last?.le !== Number.POSITIVE_INFINITY) throw new Error(`${family}${key}: buckets not cumulative`);
    if (find('_count', key) !== last.value || find('_sum', key) === undefined) throw new Error(`${family}${key}: _count or _sum wrong`);
  }
}

/** Value of one series; undefined when it does not exist. */
export function valueOf(families: Map<string, ParsedFamily>, name: string, labels: Record<string, string> = {}): number | undefined {
  const base = name.replace(/_(bucket|sum|count)$/, '');
  const family = families.get(name) ?? families.get(base);
  const wanted = Object.entries(labels);
  return family?.samples.find(
    (sample) =>
      sample.name === name &&
      Object.keys(sample.labels).length === wanted.length &&
      wanted.every(([key, value]) => sample.labels[key] === value),
  )?.value;
}

export function principalOf(id: string, provider: ProviderName = 'api_key', isAdmin = false): Principal {
  return { key: `${provider}:${id}`, provider, id, isAdmin } as Principal;
}

/** A context as the pipeline leaves it, with what a test wants to differ. */
export function contextOf(changes: Partial<RequestContext> = {}, head: Partial<RequestHead> = {}): RequestContext {
  const fullHead = { method: 'POST', path: '/mcp', clientIp: '192.0.2.7', authorization: '', xApiKey: '', ...head } as RequestHead;
  return {
    exchange: { head: fullHead } as Exchange,
    requestId: 'req-1',
    startMs: 0,
    principal: null,
    server: '',
    transport: '',
    session: '',
    method: '',
    methodLabel: 'other',
    tool: '',
    resource: '',
    idToken: '1',
    isNotification: false,
    limitedBy: '',
    limitPolicy: NO_FIELDS,
    limit: -1,
    limitRemaining: 0,
    limitResetSecs: 0,
    decidedMs: 0,
    tokenTakenMs: 0,
    retryAfterSecs: 0,
    status: 200,
    refusal: null,
    errorData: '',
    errorId: '',
    detail: '',
    upstreamErrorCode: 0,
    isToolError: false,
    sentMs: 0,
    budgetKey: '',
    placeNote: null,
    isModern: false,
    isStreaming: false,
    isInFlight: false,
    isSettled: false,
    ...changes,
  };
}

/** An audit sink that remembers. */
export function recordingAudit(): { readonly records: AuditRecord[]; write(record: AuditRecord): void } {
  const records: AuditRecord[] = [];
  return { records, write: (record) => void records.push(record) };
}

/** Lines that a log wrote. */
export function recordingDestination(): { readonly lines: string[]; write(line: string): void } {
  const lines: string[] = [];
  return { lines, write: (line) => void lines.push(line) };
}
