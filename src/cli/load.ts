import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { EffectiveConfig } from '../config/effective.ts';
import type { Override } from '../config/environment.ts';
import { loadConfig, type LoadResult } from '../config/load.ts';
import { formatProblem } from '../config/problems.ts';
import type { ConfigProblem, ConfigSnapshot } from '../core/config.ts';
import { verifySnapshot } from '../pipeline/verify.ts';
import { CliError, type CliIo } from './io.ts';

export interface Loaded {
  readonly snapshot: ConfigSnapshot;
  readonly warnings: readonly ConfigProblem[];
  /** For `config show`. */
  readonly effective: EffectiveConfig;
}

/** The problems as lines for stderr, errors and warnings alike. */
export function problemLines(problems: readonly ConfigProblem[], file: string): readonly string[] {
  return problems.map((problem) => formatProblem(problem, file));
}

/** The snapshot of a result, or a failure that lists everything found. */
export function accept({ snapshot, problems, effective }: LoadResult, file: string): Loaded {
  if (snapshot === null || effective === null) throw new CliError(problemLines(problems, file));
  return { snapshot, warnings: problems, effective };
}

/** Loads and checks a configuration file as `run` does. `file` is relative to the working directory. */
export function loadSnapshot(io: CliIo, file: string, overrides: readonly Override[] = []): Loaded {
  const path = resolve(io.cwd, file);
  if (!existsSync(path)) throw new CliError(`${file} does not exist: make one with \`mcp-guard init\`, or name yours with --config`);
  return accept(loadConfig({ file: path, env: io.env, overrides, verify: verifySnapshot, clock: io.clock }), file);
}
