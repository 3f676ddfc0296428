import type { ConfigProblem } from '../core/config.ts';
import { locate, type MapNode, type Position } from './tree.ts';

/** Collects faults; positions come from the tree when they are listed. */
export class Problems {
  readonly #found: ConfigProblem[] = [];

  error(path: string, message: string): void {
    this.#found.push({ path, message, severity: 'error' });
  }

  warn(path: string, message: string): void {
    this.#found.push({ path, message, severity: 'warning' });
  }

  /** A fault at a known place, such as one of syntax. */
  errorAt(at: Position | null, message: string): void {
    this.#found.push({ path: '', message, severity: 'error', ...at });
  }

  /** Takes over what another room found, but for keys that are known to be faulty: there it saw a default. */
  add(problems: readonly ConfigProblem[]): void {
    const faulty = new Set(this.#found.filter((problem) => problem.severity === 'error').map((problem) => problem.path));
    this.#found.push(...problems.filter((problem) => !faulty.has(problem.path)));
  }

  get hasErrors(): boolean {
    return this.#found.some((problem) => problem.severity === 'error');
  }

  /** All of them with positions, in the order of the file; what has no place stands last. Each fault once. */
  listed(root: MapNode): readonly ConfigProblem[] {
    const unique = new Map(
      this.#found.map((problem) => [`${problem.severity} ${problem.path} ${problem.line ?? ''} ${problem.message}`, problem]),
    );
    return [...unique.values()].map((problem) => placed(problem, root)).toSorted((left, right) => rank(left) - rank(right));
  }
}

function placed(problem: ConfigProblem, root: MapNode): ConfigProblem {
  if (problem.line !== undefined || problem.path === '') return problem;
  const { at, origin } = locate(root, problem.path);
  if (origin !== null) return { ...problem, message: `${problem.message} (set by ${origin})` };
  return at === null ? problem : { ...problem, line: at.line, column: at.column };
}

function rank(problem: ConfigProblem): number {
  return problem.line ?? Number.MAX_SAFE_INTEGER;
}

/** `file:3:7: error: server.port must be …`, as compilers write it, so that editors can jump there. */
export function formatProblem(problem: ConfigProblem, file: string): string {
  const place = problem.line === undefined ? file : `${file}:${problem.line}:${problem.column ?? 1}`;
  const subject = problem.path === '' ? '' : `${problem.path} `;
  return `${place}: ${problem.severity}: ${subject}${problem.message}`;
}
