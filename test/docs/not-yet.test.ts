import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SCHEMA } from '../../src/config/schema.ts';
import type { Fields } from '../../src/config/schema-types.ts';
import { ROOT } from '../setup/sources.ts';

const TEXT = readFileSync(join(ROOT, 'docs/not-yet.md'), 'utf8');

/** Keys and choices that are recognised and refused, each at the highest table that is; servers of a list have the keys of a single one. */
function refused(fields: Fields = SCHEMA.fields, path = ''): string[] {
  return Object.entries(fields).flatMap(([name, field]) => {
    const here = path === '' ? name : `${path}.${name}`;
    if (!field.isAvailable) return [here];
    if ('laterChoices' in field) return field.laterChoices.map((choice) => `${here} = "${choice}"`);
    return 'fields' in field && here !== 'upstream.servers' ? refused(field.fields, here) : [];
  });
}

/** What `docs/not-yet.md` names: whole code spans. */
function isNamed(key: string): boolean {
  return TEXT.includes(`\`${key}\``);
}

describe('the list of what is not there yet', () => {
  it('names every key that the schema knows and refuses', () => {
    expect(refused().length).toBeGreaterThan(10);
    expect(refused().filter((key) => !isNamed(key))).toEqual([]);
  });
});
