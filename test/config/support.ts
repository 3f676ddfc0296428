import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { ConfigSnapshot } from '../../src/core/config.ts';
import { type LoadResult, type LoadTextOptions, loadConfigText } from '../../src/config/load.ts';

export const HASH: string = Buffer.alloc(32, 1).toString('base64');
export const OTHER_HASH: string = Buffer.alloc(32, 2).toString('base64');

/** A caller and a server: with this in front, a fault in a test is the only one. */
export const BASE: string = `
[[auth.api_keys]]
id = "alice"
key_hash = "${HASH}"
allowed_tools = ["*"]
[upstream]
command = "server"
`;

/** A directory that is gone after the test. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'mcp-guard-config-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Writes a file into a directory that is gone after the test, and returns its path. */
export function temporaryFile(name: string, text: string | Uint8Array): string {
  const file = join(temporaryDirectory(), name);
  writeFileSync(file, text);
  return file;
}

export function load(text: string, options: Partial<LoadTextOptions> = {}): LoadResult {
  return loadConfigText({ text, format: 'toml', source: 'test', baseDir: tmpdir(), env: {}, ...options });
}

/** The snapshot of a text that must be without errors. */
export function snapshotOf(text: string, options: Partial<LoadTextOptions> = {}): ConfigSnapshot {
  const { snapshot, problems } = load(text, options);
  if (snapshot === null) throw new Error(JSON.stringify(problems, null, 2));
  return snapshot;
}

/** `path message`, errors only. */
export function errorsOf(result: LoadResult): readonly string[] {
  return linesOf(result, 'error');
}

export function warningsOf(result: LoadResult): readonly string[] {
  return linesOf(result, 'warning');
}

function linesOf(result: LoadResult, severity: 'error' | 'warning'): readonly string[] {
  return result.problems.filter((problem) => problem.severity === severity).map((problem) => `${problem.path} ${problem.message}`.trim());
}
