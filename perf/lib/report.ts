import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spreadOf, valueOf } from './figures.ts';
import type { Measured, Series, Verdict } from './figures.ts';
import type { Machine } from './machine.ts';
import type { Options } from './options.ts';
import { hasPassed } from './suite.ts';
import type { ScenarioResult } from './suite.ts';

/** A finished run, as it is kept. */
export interface Report {
  readonly startedAt: string;
  readonly machine: Machine;
  readonly options: Options;
  /** Worker processes of gateway and nginx. */
  readonly workers: number;
  readonly scenarios: readonly ScenarioResult[];
}

export const RESULTS: string = fileURLToPath(new URL('../results/', import.meta.url));

/** Keeps the report as JSON and Markdown, under its time and as `latest`; returns the path of the former without its ending. */
export async function keep(report: Report): Promise<string> {
  await mkdir(RESULTS, { recursive: true });
  const path = join(RESULTS, report.startedAt.replaceAll(':', '-'));
  for (const base of [path, join(RESULTS, 'latest')]) {
    await writeFile(`${base}.json`, `${JSON.stringify(report, null, 2)}\n`);
    await writeFile(`${base}.md`, markdown(report));
  }
  return path;
}

/** The report for people: what was promised, then every figure of every scenario. */
export function markdown(report: Report): string {
  const { against } = report.options;
  return [...summary(report), ...report.scenarios.flatMap((result) => scenarioSection(result, against))].join('\n');
}

/** The line about the machine, and the table of all bounds and aims. */
export function summary({ machine, startedAt, options, workers, scenarios }: Report): string[] {
  const verdicts = scenarios.flatMap(({ name, verdicts }) => verdicts.map((verdict) => ({ scenario: name, verdict })));
  const broken = scenarios.filter((result) => result.error !== null);
  return [
    '# Performance report',
    '',
    `${startedAt.slice(0, 16).replace('T', ' ')} UTC, commit ${machine.commit}${options.isQuick ? ', quick run: bounds are generous and figures rough' : ''}.`,
    '',
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, Linux ${machine.kernel}, Node ${machine.node}, nginx ${machine.nginx}, wrk ${machine.wrk}; gateway and nginx with ${workers} workers. Load average before the run: ${machine.loadBefore}.`,
    '',
    ...broken.flatMap(({ name, error }) => [`**${name} failed:** ${firstLine(error ?? '')}`, '']),
    '| scenario | figure | measured | bound | aim | |',
    '|---|---|---|---|---|---|',
    ...verdicts.map(({ scenario, verdict }) => verdictRow(scenario, verdict)),
    '',
  ];
}

export function verdictRow(scenario: string, verdict: Verdict): string {
  const { value, bound, aim, isMet, isAimReached } = verdict;
  const isMore = verdict.isMoreBetter ?? verdict.min !== undefined;
  const limit = (at: number | null | undefined): string =>
    at === null || at === undefined ? '' : `${isMore ? '≥' : '≤'} ${amount(at)}${unitOf(verdict)}`;
  const state = value === null ? 'not measured' : isMet ? metState(bound, isAimReached) : '**missed**';
  return `| ${scenario} | ${describe(verdict)} | ${value === null ? '' : amount(value) + unitOf(verdict)} | ${limit(bound)} | ${limit(aim)} | ${state} |`;
}

function metState(bound: number | null, isAimReached: boolean | null): string {
  if (isAimReached === true) return 'aim reached';
  return bound === null ? (isAimReached === null ? '' : 'short of the aim') : 'ok';
}

/** What a bound is about, in words. */
export function describe(verdict: Verdict): string {
  if (verdict.promise !== undefined) return verdict.promise;
  const own = `${verdict.of} ${verdict.figure}`;
  if (verdict.against === undefined) return own;
  const other = verdict.againstFigure === undefined ? verdict.against : `${verdict.against} ${verdict.againstFigure}`;
  return verdict.as === 'difference' ? `${own} − ${other}` : `${own} ÷ ${other}`;
}

function unitOf({ against, as }: Verdict): string {
  return against !== undefined && as !== 'difference' ? ' ×' : '';
}

function scenarioSection(result: ScenarioResult, against: string | null): string[] {
  const { name, shows, secs, measured, notes, error } = result;
  const targets = Object.entries(measured);
  const figures = [...new Set(targets.flatMap(([, series]) => Object.keys(series)))].filter((figure) => isTelling(figure, targets));
  return [
    `## ${name}`,
    '',
    `${shows} ${hasPassed(result) ? '' : '**Not passed.** '}(${Math.round(secs)} s)`,
    '',
    ...(error === null ? [] : ['```', error, '```', '']),
    ...(targets.length === 0 ? [] : figureTable(figures, targets)),
    ...(against === null ? [] : comparison(measured, against)),
    ...notes.flatMap((note) => [`- ${note}`]),
    ...(notes.length === 0 ? [] : ['']),
  ];
}

/** One line per figure and one column per target: there are always fewer targets. */
function figureTable(figures: readonly string[], targets: readonly (readonly [string, Series])[]): string[] {
  return [
    `| median (least – most) | ${targets.map(([name]) => name).join(' | ')} |`,
    `|---|${targets.map(() => '---').join('|')}|`,
    ...figures.map((figure) => `| ${figure} | ${targets.map(([, series]) => cell(series[figure])).join(' | ')} |`),
    '',
  ];
}

/** Ours as a multiple of the other build's, round by round. */
function comparison(measured: Measured, ref: string): string[] {
  const rows = Object.entries(measured).flatMap(([name, series]) =>
    Object.keys(series).map((figure) => ({ name, figure, ratio: valueOf({ figure, of: name, against: withRef(name, ref) }, measured) })),
  );
  const telling = rows.filter(({ name, ratio }) => !name.includes(`@${ref}`) && Number.isFinite(ratio));
  if (telling.length === 0) return [];
  return [
    `| this build ÷ ${ref} | figure | median |`,
    '|---|---|---|',
    ...telling.map(({ name, figure, ratio }) => `| ${name} | ${figure} | ${amount(ratio)} × |`),
    '',
  ];
}

/** `gateway 401` of another build is `gateway@ref 401`. */
function withRef(name: string, ref: string): string {
  return name.replace(/^gateway/, `gateway@${ref}`);
}

/** A figure that is nought everywhere says nothing. */
function isTelling(figure: string, targets: readonly (readonly [string, Series])[]): boolean {
  return targets.some(([, series]) => series[figure]?.some((value) => value !== 0) === true);
}

function cell(values: readonly number[] | undefined): string {
  if (values === undefined || values.length === 0) return '';
  const { median, min, max } = spreadOf(values);
  return values.length === 1 ? amount(median) : `${amount(median)} (${amount(min)} – ${amount(max)})`;
}

/** Three digits that count, and no more. */
export function amount(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString('en');
  return value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}
