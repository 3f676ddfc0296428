import { describe, expect, it } from 'vitest';
import { areaOf, ownersOf, ROOMS } from './setup/rooms.ts';
import { filesBelow, importsOf, lineOf, parse, readSource, walk } from './setup/sources.ts';
import type { Node, Source } from './setup/sources.ts';

const LEAST_FILES = 60;
const MOST_LINES = 400;
const MOST_WORKER_LINES = 60;

/** Where the environment is read or set: the configuration, the entries, the worker that hands it to stdio servers' PATH, and the library that takes a setting from there while it loads. */
const ENVIRONMENT = [
  'src/config/',
  'src/main.ts',
  'src/bin.ts',
  'src/process/worker-entry.ts',
  'src/process/run.ts',
  'src/process/worker.ts',
  'src/process/supervisor.ts',
  'src/listener/native.ts',
];
/** Loads a library by a name held in a constant, after it has verified the file behind it. */
const COMPUTED_IMPORTS = ['src/listener/native.ts'];
const TIME = ['src/core/clock.ts', 'src/process/'];
const TIMERS: ReadonlySet<string> = new Set(['setTimeout', 'setInterval']);

function isBelow(path: string, prefixes: readonly string[]): boolean {
  return prefixes.some((prefix) => path.startsWith(prefix));
}

/** Imports that the rules forbid, in words. */
function importFaults(source: Source): string[] {
  const area = areaOf(source.path);
  if (area === null) return [`${source.path}: belongs to no area of test/setup/rooms.ts`];
  return importsOf(source).flatMap(({ target, isOwnFile, line }) => {
    const fault = (what: string): string[] => [`${source.path}:${line}: ${area.name} ${what}`];
    if (target === null) return isBelow(source.path, COMPUTED_IMPORTS) ? [] : fault('imports by a computed name');
    if (!isOwnFile) return packageFaults(source.path, area.name, target).flatMap(fault);
    if (isBelow(target, area.files) || area.mayImport === null || isBelow(target, area.mayImport)) return [];
    return fault(`imports ${target}`);
  });
}

function packageFaults(path: string, areaName: string, specifier: string): string[] {
  if (areaName === 'core') return [`imports ${specifier}; core imports nothing`];
  const owners = ownersOf(specifier);
  return owners === null || isBelow(path, owners) ? [] : [`imports ${specifier}, which only ${owners.join(', ')} may`];
}

function isMember(node: Node, object: string, property: string): boolean {
  if (node.type !== 'MemberExpression') return false;
  const [left, right] = [node['object'], node['property']] as [Node, Node];
  const isNamed = right['name'] === property || right['value'] === property;
  return left.type === 'Identifier' && left['name'] === object && isNamed;
}

/** `process.env`, or `env` taken out of `process` or `node:process`. */
function readsEnvironment(node: Node): boolean {
  if (isMember(node, 'process', 'env') || isMember(node, 'globalThis', 'process')) return true;
  const isTaken = (names: unknown, key: string): boolean =>
    (names as Node[]).some((one) => (one[key] as Node | undefined)?.['name'] === 'env');
  if (node.type === 'ImportDeclaration' && (node['source'] as Node)['value'] === 'node:process')
    return isTaken(node['specifiers'], 'imported');
  if (node.type !== 'VariableDeclarator' || (node['id'] as Node).type !== 'ObjectPattern') return false;
  return (node['init'] as Node | null)?.['name'] === 'process' && isTaken((node['id'] as Node)['properties'], 'key');
}

/** A timer, or a reading of a clock that tests could not replace. */
function usesTime(node: Node): boolean {
  if (node.type === 'ImportDeclaration') return /^(node:)?timers/.test(String((node['source'] as Node)['value']));
  if (isMember(node, 'Date', 'now') || isMember(node, 'performance', 'now')) return true;
  if (node.type === 'NewExpression') return (node['callee'] as Node)['name'] === 'Date' && (node['arguments'] as unknown[]).length === 0;
  return node.type === 'CallExpression' && TIMERS.has(String((node['callee'] as Node)['name']));
}

function nodeFaults(source: Source, allowed: readonly string[], what: string, isFault: (node: Node) => boolean): string[] {
  if (isBelow(source.path, allowed)) return [];
  const faults: string[] = [];
  walk(source.program, (node) => {
    if (isFault(node)) faults.push(`${source.path}:${lineOf(source, node)}: ${what}`);
  });
  return faults;
}

function timeFaults(source: Source): string[] {
  return nodeFaults(source, TIME, 'time and timers come from core/clock.ts', usesTime);
}

function environmentFaults(source: Source): string[] {
  return nodeFaults(source, ENVIRONMENT, 'the environment is read in config/ and the entry points only', readsEnvironment);
}

function lengthFaults(source: Source): string[] {
  const most = source.path.startsWith('workers/') ? MOST_WORKER_LINES : MOST_LINES;
  const lines = source.text.trimEnd().split('\n').length;
  return lines > most ? [`${source.path}: ${lines} lines, at most ${most}`] : [];
}

const sources = [...filesBelow('src', '.ts'), ...filesBelow('workers', '.ts')]
  .filter((path) => !path.startsWith('src/demo/sample/'))
  .map((path) => readSource(path));

describe('the architecture', () => {
  it('was checked on the whole program', () => {
    expect(sources.length).toBeGreaterThanOrEqual(LEAST_FILES);
  });

  it('has no folder in src that is no room', () => {
    const folders = new Set(sources.filter(({ path }) => path.split('/').length > 2).map(({ path }) => path.split('/')[1]));
    folders.delete(undefined);
    expect(
      [...folders].filter((folder) => folder !== undefined && !folder.endsWith('.ts') && !ROOMS.some((room) => room === folder)),
    ).toEqual([]);
  });

  it('lets rooms import only what their area allows', () => {
    expect(sources.flatMap(importFaults)).toEqual([]);
  });

  it('reads the environment at the edge only', () => {
    expect(sources.flatMap(environmentFaults)).toEqual([]);
  });

  it('takes time from the clock', () => {
    expect(sources.flatMap(timeFaults)).toEqual([]);
  });

  it('keeps files short, and worker entry points shorter', () => {
    expect(sources.flatMap(lengthFaults)).toEqual([]);
  });
});

describe('the architecture check', () => {
  const faultsOf = (path: string, text: string): number => importFaults(parse(path, text)).length;

  it.each([
    ['src/auth/a.ts', "import { x } from '../limit/x.ts';"],
    ['src/auth/a.ts', "import type { X } from '../pipeline/x.ts';"],
    ['src/auth/deep/a.ts', "export * from '../../limit/x.ts';"],
    ['src/auth/a.ts', "export { x } from '../main.ts';"],
    ['src/auth/a.ts', "const x = await import('../limit/x.ts');"],
    ['src/auth/a.ts', "type X = import('../limit/x.ts').X;"],
    ['src/auth/a.ts', "const x = require('../limit/x.ts');"],
    ['src/auth/a.ts', 'const x = await import(`../limit/${name}.ts`);'],
    ['src/auth/a.ts', "import { request } from 'undici';"],
    ['src/auth/a.ts', "import { x } from '@opentelemetry/api';"],
    ['src/auth/a.ts', "import cluster from 'node:cluster';"],
    ['src/auth/a.ts', "import { x } from '../../test/x.ts';"],
    ['src/core/a.ts', "import type { Socket } from 'node:net';"],
    ['src/core/a.ts', "import type { X } from '../mcp/x.ts';"],
    ['src/mcp/a.ts', "import { x } from '../config/x.ts';"],
    ['src/pipeline/handle.ts', "import { x } from '../auth/x.ts';"],
    ['src/process/primary.ts', "import { x } from '../auth/x.ts';"],
    ['src/main.ts', "import { x } from './auth/providers.ts';"],
    ['src/stray.ts', ''],
  ])('finds the fault in %s: %s', (path, text) => {
    expect(faultsOf(path, text)).toBe(1);
  });

  it.each([
    ['src/auth/a.ts', "import { x } from './keys.ts'; import { y } from '../core/y.ts'; import { z } from '../mcp/z.ts';"],
    ['src/auth/deep/a.ts', "import { x } from '../keys.ts'; import { createHash } from 'node:crypto';"],
    ['src/pipeline/build.ts', "import { x } from '../auth/x.ts'; import { y } from '../limit/y.ts';"],
    ['src/upstream/http.ts', "import { request } from 'undici';"],
    ['src/main.ts', "import { x } from './auth/keys.ts'; import { y } from './pipeline/build.ts';"],
  ])('lets %s have: %s', (path, text) => {
    expect(faultsOf(path, text)).toBe(0);
  });

  it.each(['process.env.HOME', "process['env']", 'const { env } = process', "import { env } from 'node:process'"])(
    'sees the environment in %s',
    (text) => {
      expect(environmentFaults(parse('src/auth/a.ts', text))).toHaveLength(1);
    },
  );

  it.each([
    'setTimeout(f, 1)',
    'setInterval(f, 1)',
    'Date.now()',
    'performance.now()',
    'new Date()',
    "import { setTimeout } from 'node:timers/promises'",
  ])('sees the time in %s', (text) => {
    expect(timeFaults(parse('src/auth/a.ts', text))).toHaveLength(1);
  });

  it('measures the length of files', () => {
    const lines = (count: number): string => 'a;\n'.repeat(count);
    expect(lengthFaults(parse('src/auth/a.ts', lines(400)))).toEqual([]);
    expect(lengthFaults(parse('src/auth/a.ts', lines(401)))).toHaveLength(1);
    expect(lengthFaults(parse('workers/a.ts', lines(61)))).toHaveLength(1);
  });
});
