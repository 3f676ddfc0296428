import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { VERSION } from '../../src/core/version.ts';
import { allDocuments, anchors, codeBlocks, prose } from '../setup/documents.ts';
import { filesBelow, readSource, ROOT } from '../setup/sources.ts';
import { allTestCalls } from '../setup/test-calls.ts';

const FORBIDDEN_MODIFIERS: ReadonlySet<string> = new Set(['skip', 'only', 'todo', 'fails', 'skipIf', 'runIf']);
/** Written in parts, so that this file does not hold them. */
const UNFINISHED = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X', 'HA' + 'CK', 'WI' + 'P'].join('|')})\\b`);
const MACHINE_PATHS = new RegExp(`(^|[\\s"'\`(=:])/(${['ho' + 'me/[a-z]{2}', 'ro' + 'ot/', 'wo' + 'rk/', 'Us' + 'ers/'].join('|')})`);

function textFiles(): string[] {
  const folders = ['src', 'workers', 'test', 'perf', 'native-bench', 'config', 'docs', '.ci', '.github'];
  const top = [
    'README.md',
    'AGENTS.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
    'CHANGELOG.md',
    'Dockerfile',
    'package.json',
    'biome.json',
    'knip.json',
  ];
  return [...top, ...folders.flatMap((folder) => filesBelow(folder, ''))];
}

function linesMatching(pattern: RegExp): string[] {
  return textFiles().flatMap((path) => {
    const lines = readFileSync(join(ROOT, path), 'utf8').split('\n');
    return lines.flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : []));
  });
}

/** Links of a document that lead nowhere. Addresses on the network are not followed. */
function brokenLinks(path: string, text: string): string[] {
  const links = [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? '');
  return links.filter((link) => {
    if (/^https?:/.test(link)) return false;
    const [file = '', anchor = ''] = link.split('#');
    const target = file === '' ? path : normalize(join(dirname(path), file));
    if (!existsSync(join(ROOT, target))) return true;
    return anchor !== '' && !anchors(readFileSync(join(ROOT, target), 'utf8')).has(anchor);
  });
}

describe('the documents', () => {
  it.each(allDocuments().map(({ path, text }) => [path, text]))('%s links to what exists', (path, text) => {
    expect(brokenLinks(path, text)).toEqual([]);
  });

  it('name commands that exist', () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
    const named = allDocuments().flatMap(({ path, text }) =>
      [...text.matchAll(/npm run ([a-z][a-z:-]*)/g)].map((match) => ({ path, script: match[1] ?? '' })),
    );
    expect(named.filter(({ script }) => scripts[script] === undefined)).toEqual([]);
  });

  it('name source files that exist', () => {
    const named = allDocuments().flatMap(({ path, text }) =>
      [...text.matchAll(/`((?:src|workers|test|perf|config|docs)\/[\w./-]+\.\w+)`/g)].map((match) => ({ path, file: match[1] ?? '' })),
    );
    expect(named.filter(({ file }) => !existsSync(join(ROOT, file)))).toEqual([]);
    expect(named.length).toBeGreaterThan(10);
  });

  it('have every room in their tables', () => {
    const rooms = new Set(filesBelow('src', '.ts').flatMap((path) => (path.split('/').length > 2 ? [path.split('/')[1] ?? ''] : [])));
    const listed = (path: string): (string | undefined)[] =>
      [...readFileSync(join(ROOT, path), 'utf8').matchAll(/^\| `([a-z]+)\/?` \|/gm)].map((match) => match[1]);
    for (const path of ['AGENTS.md', 'docs/architecture.md']) expect(new Set(listed(path)), path).toEqual(rooms);
  });

  it('give a newcomer two commands', () => {
    const readme = allDocuments().find(({ path }) => path === 'README.md');
    const commands = codeBlocks(readme?.text ?? '').flatMap((block) => block.text.trim().split('\n'));
    expect(commands).toEqual(expect.arrayContaining(['npm ci && npm start', 'npm ci && npm test']));
  });

  it('and the sources hold no unfinished work', () => {
    expect(linesMatching(UNFINISHED)).toEqual([]);
  });

  it('and the sources know no particular machine', () => {
    expect(linesMatching(MACHINE_PATHS)).toEqual([]);
  });
});

describe('the package', () => {
  it('has one version everywhere', () => {
    const read = (path: string): { version: string } => JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as { version: string };
    expect([VERSION, read('package-lock.json').version]).toEqual([read('package.json').version, read('package.json').version]);
  });
});

describe('the tests', () => {
  it('are all run: none is skipped, focused or expected to fail', () => {
    const calls = allTestCalls();
    const held = calls.filter(({ modifiers }) => modifiers.some((modifier) => FORBIDDEN_MODIFIERS.has(modifier)));
    expect(held).toEqual([]);
    expect(calls.length).toBeGreaterThan(100);
  });

  it('cannot skip themselves while running', () => {
    const skipping = filesBelow('test', '.test.ts').filter((path) =>
      /\b(ctx|context|task)\.skip\(|\(\{ skip\b/.test(readSource(path).text),
    );
    expect(skipping.filter((path) => path !== 'test/docs/documents.test.ts')).toEqual([]);
  });
});
