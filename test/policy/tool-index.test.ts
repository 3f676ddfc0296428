import { describe, expect, it } from 'vitest';
import { PatternError } from '../../src/policy/glob.ts';
import { compileToolIndex } from '../../src/policy/tool-index.ts';

describe('compileToolIndex', () => {
  const index = compileToolIndex(['fs:write_*', 'write_*', 'read', 're:adm.*']);

  it('finds the first pattern that matches the tool of a server', () => {
    expect([index('fs', 'write_file'), index('db', 'write_file'), index('db', 'read'), index('x', 'admin')]).toEqual([0, 1, 2, 3]);
  });

  it('finds none where none matches, with and without patterns', () => {
    expect([index('fs', 'reader'), index('fs', ''), compileToolIndex([])('fs', 'read')]).toEqual([-1, -1, -1]);
  });

  it('finds the same for a name that it has seen, also of another server', () => {
    for (let round = 0; round < 2; round++) expect([index('fs', 'write_a'), index('db', 'write_a')]).toEqual([0, 1]);
  });

  it('stays right when callers invent more names, and longer ones, than it remembers', () => {
    for (let i = 0; i < 3_000; i++) expect(index('fs', `write_${i}`)).toBe(0);
    expect([index('fs', `write_${'x'.repeat(500)}`), index('fs', `other_${'x'.repeat(500)}`), index('fs', 'read')]).toEqual([0, -1, 2]);
  });

  it('refuses a pattern that does not compile', () => {
    expect(() => compileToolIndex(['ok', '[a'])).toThrow(PatternError);
  });
});
