import fc from 'fast-check';
import { parse as smolParse, stringify as tomlText } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { stringify as yamlText } from 'yaml';
import { isSameData } from '../../src/config/api-key-entry.ts';
import { formatOf, parseConfigText } from '../../src/config/parse.ts';
import { toPlain } from '../../src/config/tree.ts';

const name = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9_-]{1,8}$/),
  fc.string({ unit: 'binary', maxLength: 6 }).map((text) => text.toWellFormed()),
  fc.constantFrom('__proto__', 'constructor', 'a.b', ''),
);
const scalar = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }).map((text) => text.toWellFormed()),
  fc.boolean(),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? 0 : value)),
);
const { table } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    scalar,
    fc.array(scalar, { maxLength: 3 }),
    fc.array(tie('table'), { minLength: 1, maxLength: 3 }),
    tie('table'),
  ),
  table: fc.dictionary(name, tie('value'), { maxKeys: 4, noNullPrototype: false }),
}));
// YAML line breaks inside keys and TOML's surrogates are the writers' business, not ours.
const plainTable = table.filter(
  (data) =>
    !JSON.stringify(data).includes('\\u') &&
    !JSON.stringify(data).includes('\u0085') &&
    !/[\u007f-\u009f\ufeff\u2028\u2029\ufffe\uffff]/.test(JSON.stringify(data)),
);

describe('formatOf', () => {
  it('chooses the syntax by the extension', () => {
    expect(['a.toml', 'a.yaml', 'b/c.yml', 'a.json', 'a.jsonc', 'A.TOML'].map(formatOf)).toEqual([
      'toml',
      'yaml',
      'yaml',
      'json',
      'json',
      'toml',
    ]);
    expect(['a.ini', 'toml', 'a', '.toml', 'a.toml.bak'].map(formatOf)).toEqual([null, null, null, null, null]);
  });
});

describe('parseConfigText', () => {
  it('reads the same data from the three syntaxes', () => {
    fc.assert(
      fc.property(plainTable, (data) => {
        const toml = parseConfigText(tomlText(data as Record<string, unknown>), 'toml');
        const yaml = parseConfigText(yamlText(data, { lineWidth: 0, version: '1.2' }), 'yaml');
        const json = parseConfigText(JSON.stringify(data), 'json');
        expect([toml.faults, yaml.faults, json.faults]).toEqual([[], [], []]);
        expect(isSameData(toPlain(json.root), data)).toBe(true);
        expect(isSameData(toPlain(yaml.root), data)).toBe(true);
        expect(isSameData(toPlain(toml.root), data)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('agrees with a second TOML parser on what is valid and what it means', () => {
    const part = fc.constantFrom(
      '[a]',
      '[a.b]',
      '[[a]]',
      '[[a.b]]',
      'a = 1',
      'a.b = 2',
      'b = "x"',
      "c = 'y'",
      'b = { c = 1, d.e = 2 }',
      'b = [1, 2]',
      '# n',
      'a.b.c = true',
      '"a" = 3',
      'd = """\nx"""',
      '[c]',
      'a',
      '= 1',
      'f = 1.5',
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
        const text = parts.join('\n');
        const ours = parseConfigText(text, 'toml');
        const theirs = attempt(() => smolParse(text));
        expect({ text, isValid: ours.faults.length === 0 }).toEqual({ text, isValid: theirs !== null });
        if (theirs !== null) expect(isSameData(toPlain(ours.root), theirs)).toBe(true);
      }),
      { numRuns: 1500 },
    );
  });

  it('never throws, whatever the text', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 60 }),
        fc.constantFrom('toml' as const, 'yaml' as const, 'json' as const),
        (text, format) => {
          expect(parseConfigText(text, format).root.kind).toBe('map');
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('reports nesting that exhausts the parser as a fault', () => {
    for (const format of ['toml', 'json'] as const) {
      const text = format === 'toml' ? `a = ${'['.repeat(200_000)}` : '['.repeat(200_000);
      expect(parseConfigText(text, format).faults.length).toBeGreaterThan(0);
    }
  });

  it('ignores a byte order mark', () => {
    expect(toPlain(parseConfigText('\uFEFFa = 1', 'toml').root)).toEqual({ a: 1 });
  });
});

function attempt<T>(run: () => T): T | null {
  try {
    return run();
  } catch {
    return null;
  }
}
