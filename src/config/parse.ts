import { extname } from 'node:path';
import { parseJson } from './parse-json.ts';
import { parseToml } from './parse-toml.ts';
import { parseYaml } from './parse-yaml.ts';
import type { ParsedTree } from './tree.ts';

export type ConfigFormat = 'toml' | 'yaml' | 'json';

export const CONFIG_FORMATS: readonly ConfigFormat[] = ['toml', 'yaml', 'json'];

const BY_EXTENSION: ReadonlyMap<string, ConfigFormat> = new Map([
  ['.toml', 'toml'],
  ['.yaml', 'yaml'],
  ['.yml', 'yaml'],
  ['.json', 'json'],
  ['.jsonc', 'json'],
]);

/** The syntax that a file name stands for, or null. */
export function formatOf(file: string): ConfigFormat | null {
  return BY_EXTENSION.get(extname(file).toLowerCase()) ?? null;
}

const PARSERS: Readonly<Record<ConfigFormat, (text: string) => ParsedTree>> = { toml: parseToml, yaml: parseYaml, json: parseJson };

/** Reads a configuration text. A leading byte order mark is ignored. */
export function parseConfigText(text: string, format: ConfigFormat): ParsedTree {
  return PARSERS[format](text.startsWith('\uFEFF') ? text.slice(1) : text);
}
