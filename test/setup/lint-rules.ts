import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AREAS, PACKAGE_OWNERS, ROOMS } from './rooms.ts';
import type { Area } from './rooms.ts';
import { ROOT } from './sources.ts';

interface Pattern {
  readonly group?: readonly string[];
  readonly regex?: string;
  readonly message: string;
}

/** Tests take contracts apart that are written as methods, expect inside generated cases, and print what they do not know. */
const RELAXED_IN_TESTS: Readonly<Record<string, unknown>> = {
  'vitest/valid-expect': ['error', { maxArgs: 2 }],
  'typescript/unbound-method': 'off',
  'typescript/no-base-to-string': 'off',
  'typescript/no-misused-spread': 'off',
  'typescript/restrict-template-expressions': 'off',
  'typescript/require-array-sort-compare': 'off',
  'vitest/no-conditional-expect': 'off',
  // vitest itself fails a test that asserted nothing, wherever the assertion stands.
  'vitest/expect-expect': 'off',
};

function isBelow(path: string, prefixes: readonly string[]): boolean {
  return prefixes.some((prefix) => path.startsWith(prefix));
}

/** gitignore patterns for the rooms that the area may not import, then exceptions for single files that it may. */
function roomPattern(area: Area): Pattern[] {
  if (area.mayImport === null) return [];
  const allowed = [...area.files, ...area.mayImport];
  const forbidden = ROOMS.filter((room) => !allowed.includes(`src/${room}/`)).map((room) => `**/${room}/**`);
  const exceptions = allowed.filter((path) => path.endsWith('.ts')).map((path) => `!**/${path.slice('src/'.length)}`);
  return [{ group: [...forbidden, ...exceptions], message: `${area.name} may not import this room (test/setup/rooms.ts).` }];
}

function packagePattern(area: Area): Pattern[] {
  const foreign = Object.keys(PACKAGE_OWNERS).filter((name) => !area.files.some((file) => isBelow(file, PACKAGE_OWNERS[name] ?? [])));
  return [{ group: foreign.flatMap((name) => [name, `${name}/**`]), message: 'Another room owns this package (test/setup/rooms.ts).' }];
}

function patternsOf(area: Area): Pattern[] {
  if (area.name === 'core') return [{ regex: '^([^.]|[.][.])', message: 'core imports nothing.' }];
  return [...roomPattern(area), ...packagePattern(area)];
}

/** The linter's configuration with its room rules as `rooms.ts` has them; the rest is as it stands in the file. */
export function lintConfig(): string {
  const config = JSON.parse(readFileSync(join(ROOT, '.oxlintrc.json'), 'utf8')) as { overrides: unknown[] };
  // Later overrides win with this linter, the first matching area in ours.
  const rooms = AREAS.toReversed().map((area) => ({
    files: area.files.map((prefix) => (prefix.endsWith('/') ? `${prefix}**` : prefix)),
    rules: { 'max-lines': ['error', { max: 400 }], 'no-restricted-imports': ['error', { patterns: patternsOf(area) }] },
  }));
  config.overrides = [...rooms, { files: ['test/**'], rules: RELAXED_IN_TESTS }];
  return `${JSON.stringify(config, null, 2)}\n`;
}
