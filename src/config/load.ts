import { dirname, resolve } from 'node:path';
import { type Clock, systemClock } from '../core/clock.ts';
import type { ConfigProblem, ConfigSnapshot } from '../core/config.ts';
import { buildSnapshot } from './build-snapshot.ts';
import { checkTogether } from './check.ts';
import { effectiveConfig, type EffectiveConfig } from './effective.ts';
import { applyEnvironment, applyOverrides, type Override, warnUnknown } from './environment.ts';
import { type Environment, interpolate } from './interpolate.ts';
import { type ConfigFormat, formatOf, parseConfigText } from './parse.ts';
import { Problems } from './problems.ts';
import { MAX_CONFIG_BYTES, readTextFile } from './read-text.ts';
import { resolveTree } from './resolve.ts';
import { find, type MapNode } from './tree.ts';

interface CommonOptions {
  readonly env: Environment;
  /** Values from flags; they beat the environment, which beats the file. */
  readonly overrides?: readonly Override[];
  /**
   * Checks of other rooms (patterns, regular expressions, addresses). Called once, with a complete snapshot even when
   * faults were found, faulty values replaced by defaults (texts that are required may be empty). Paths are those of the
   * file: `upstream.servers[0].url`, which is understood as `upstream.url` in the form with one server.
   */
  readonly verify?: (snapshot: ConfigSnapshot) => readonly ConfigProblem[];
  readonly clock?: Clock;
}

export interface LoadOptions extends CommonOptions {
  readonly file: string;
}

export interface LoadTextOptions extends CommonOptions {
  readonly text: string;
  readonly format: ConfigFormat;
  /** What the snapshot names as its source. */
  readonly source: string;
  /** Directory that relative paths start from. */
  readonly baseDir: string;
}

export interface LoadResult {
  /** Null when any problem is an error. */
  readonly snapshot: ConfigSnapshot | null;
  /** All of them, in the order of the file. */
  readonly problems: readonly ConfigProblem[];
  /** What holds now, defaults included and secrets masked; null when the file could not be parsed. */
  readonly effective: EffectiveConfig | null;
}

/** Reads, checks and freezes a configuration file; the syntax follows from its extension. Never throws for what a file holds. */
export function loadConfig(options: LoadOptions): LoadResult {
  const file = resolve(options.file);
  const format = formatOf(file);
  if (format === null) return failed(`${options.file} has no known extension: .toml, .yaml, .yml, .json or .jsonc`);
  const read = readTextFile(file, MAX_CONFIG_BYTES);
  if ('fault' in read) return failed(`the configuration file ${options.file} ${read.fault}`);
  return loadConfigText({ ...options, text: read.text, format, source: file, baseDir: dirname(file) });
}

/** The same for a text in memory. */
export function loadConfigText(options: LoadTextOptions): LoadResult {
  const problems = new Problems();
  const { root, faults } = parseConfigText(options.text, options.format);
  for (const fault of faults) problems.errorAt(fault.at, fault.message);
  if (faults.length > 0) return { snapshot: null, problems: problems.listed(root), effective: null };
  applyEnvironment(root, options.env, problems);
  applyOverrides(root, options.overrides ?? [], problems);
  const used = new Set<string>();
  const isHardened = profileOf(root, options.env) === 'hardened';
  const sections = resolveTree(root, { env: options.env, baseDir: options.baseDir, isHardened, problems, used });
  const snapshot = buildSnapshot(sections, options.source, options.baseDir);
  checkTogether(sections, snapshot, (options.clock ?? systemClock).wallMs(), problems);
  problems.add(verified(options, snapshot));
  warnUnknown(options.env, used, problems);
  return {
    snapshot: problems.hasErrors ? null : snapshot,
    problems: problems.listed(root),
    effective: effectiveConfig(sections, snapshot),
  };
}

function verified(options: CommonOptions, snapshot: ConfigSnapshot): readonly ConfigProblem[] {
  const problems = options.verify?.(snapshot) ?? [];
  if (!snapshot.isSingleUpstream) return problems;
  return problems.map((problem) => ({ ...problem, path: problem.path.replace(/^upstream\.servers\[0\]/, 'upstream') }));
}

/** The profile decides on defaults, so it is looked up before anything else is read. */
function profileOf(root: MapNode, env: Environment): string | null {
  const node = find(root, ['server', 'profile']);
  if (node?.kind !== 'scalar' || typeof node.value !== 'string') return null;
  return node.origin === null ? interpolate(node.value, env, new Set()).value : node.value;
}

function failed(message: string): LoadResult {
  return { snapshot: null, problems: [{ path: '', message, severity: 'error' }], effective: null };
}
