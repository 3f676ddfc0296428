import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { generatedFiles } from '../../src/config/generated-files.ts';
import { settableKeys } from '../../src/config/schema.ts';

const ROOT = new URL('../../', import.meta.url);

function text(path: string): string {
  return generatedFiles().find((file) => file.path === path)?.text ?? '';
}

describe('generated files', () => {
  it('are committed as the table makes them: run `npm run generate`', () => {
    for (const file of generatedFiles()) expect(readFileSync(new URL(file.path, ROOT), 'utf8')).toBe(file.text);
    expect(generatedFiles().map((file) => file.path)).toEqual(['config/mcp-guard.schema.json', 'docs/config.md']);
  });

  it('document every variable', () => {
    const docs = text('docs/config.md');
    for (const { variable, isFile } of settableKeys()) if (!isFile) expect(docs).toContain(`\`${variable}\``);
  });

  it('mark what is not available', () => {
    expect(text('docs/config.md')).toMatch(/## `tracing` \(not available yet\)/);
    expect(text('docs/config.md')).toMatch(/\| `export_url` .*Not available yet/);
    expect(text('docs/config.md')).toMatch(/`strict` \(not available yet\)/);
  });

  it('hold tables whose rows have as many cells as their heads', () => {
    const rows = text('docs/config.md')
      .split('\n')
      .filter((line) => line.startsWith('|'));
    expect(rows.length).toBeGreaterThan(150);
    for (const row of rows) expect({ row, cells: row.split(/(?<!\\)\|/).length }).toEqual({ row, cells: 7 });
  });

  it('hold a JSON schema that refuses unknown keys everywhere', () => {
    const schema = JSON.parse(text('config/mcp-guard.schema.json')) as Record<string, unknown>;
    expect(schema).toMatchObject({ $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object', additionalProperties: false });
    const open: string[] = [];
    visit(schema, '', (node, path) => {
      if ('properties' in node && node['additionalProperties'] !== false) open.push(path);
    });
    expect(open).toEqual([]);
  });
});

function visit(node: unknown, path: string, each: (node: Record<string, unknown>, path: string) => void): void {
  if (typeof node !== 'object' || node === null) return;
  if (!Array.isArray(node) && path !== '' && !path.endsWith('/properties')) each(node as Record<string, unknown>, path);
  for (const [name, child] of Object.entries(node)) visit(child, `${path}/${name}`, each);
}
