import { describe, expect, it } from 'vitest';
import { parseYaml } from '../../src/config/parse-yaml.ts';
import { locate, toPlain } from '../../src/config/tree.ts';

describe('parseYaml', () => {
  it('keeps the position of every key', () => {
    const { root } = parseYaml('server:\n  port: 1\nauth:\n  api_keys:\n    - id: a\n    - id: b\n      roles: [x, y]\n');
    expect(locate(root, 'server.port').at).toEqual({ line: 2, column: 3 });
    expect(locate(root, 'auth.api_keys[1]').at).toEqual({ line: 6, column: 7 });
    expect(locate(root, 'auth.api_keys[1].roles[1]').at).toEqual({ line: 7, column: 18 });
  });

  it.each([
    ['a repeated key', 'a: 1\nb: 2\na: 3', 3],
    ['a second document', 'a: 1\n---\nb: 2', 2],
    ['a key that is no string', 'a: 1\n2: x', 2],
    ['a list as a key', '? [a]\n: 1', 1],
    ['an unknown tag', 'a: !secret x', 1],
    ['an alias without an anchor', 'a: 1\nb: *none', 2],
    ['broken indentation', 'a:\n  b: 1\n c: 2', 3],
    ['a list at the top', '- a', 1],
    ['a bare text', 'hello', 1],
    ['a tab for indentation', 'a:\n\tb: 1', 2],
    ['another YAML version', '%YAML 1.1\n---\na: yes', 1],
  ])('refuses %s and says where', (_, text, line) => {
    const { faults } = parseYaml(text);
    expect(faults.length).toBeGreaterThan(0);
    expect(faults[0]?.at?.line).toBe(line);
  });

  it('reads YAML 1.2: yes, no and dates are texts, there are no merge keys', () => {
    expect(toPlain(parseYaml('a: yes\nb: no\nc: 2030-01-31\nd: 0o10\ne: true').root)).toEqual({
      a: 'yes',
      b: 'no',
      c: '2030-01-31',
      d: 8,
      e: true,
    });
    expect(toPlain(parseYaml('a: &x { b: 1 }\nc:\n  <<: *x').root)).toEqual({ a: { b: 1 }, c: { '<<': { b: 1 } } });
  });

  it('resolves aliases, but not those that multiply or contain themselves', () => {
    expect(toPlain(parseYaml('a: &x [1]\nb: *x').root)).toEqual({ a: [1], b: [1] });
    const bomb = ['a0: &a0 [x]', ...Array.from({ length: 12 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}*a${i}]`)].join(
      '\n',
    );
    expect(parseYaml(bomb).faults[0]?.message).toContain('multiply');
    expect(parseYaml('a: &x\n  b: *x').faults[0]?.message).toContain('itself');
  });

  it('does not quote the file in its faults', () => {
    for (const text of [
      'a: "s3cr3t\nb: 1',
      'key: s3cr3t: x',
      'a: {s3cr3t',
      '- s3cr3t\nb: s3cr3t',
      'a: *s3cr3t',
      'a: !s3cr3t x',
      '@s3cr3t',
    ]) {
      const { faults } = parseYaml(text);
      expect(faults.length).toBeGreaterThan(0);
      expect(JSON.stringify(faults)).not.toContain('s3cr3t');
    }
  });

  it('reads an empty file as an empty configuration', () => {
    expect(parseYaml('# nothing\n')).toMatchObject({ faults: [] });
  });
});
