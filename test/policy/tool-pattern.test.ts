import { describe, expect, it } from 'vitest';
import { PatternError } from '../../src/policy/glob.ts';
import { compileToolPattern } from '../../src/policy/tool-pattern.ts';

function matches(pattern: string, server: string, tool: string): boolean {
  const { matchesServer, matchesTool } = compileToolPattern(pattern);
  return matchesServer(server) && matchesTool(tool);
}

describe('compileToolPattern', () => {
  it.each([
    ['read_file', 'fs', 'read_file', true],
    ['read_file', 'db', 'read_file', true],
    ['fs:read_file', 'fs', 'read_file', true],
    ['fs:read_file', 'db', 'read_file', false],
    ['fs:*', 'fs', 'anything', true],
    ['fs-*:read_?', 'fs-a', 'read_1', true],
    ['*:read', 'x', 'read', true],
    ['*:ns:tool', 'x', 'ns:tool', true],
    ['ns\\:tool', 'x', 'ns:tool', true],
    ['ns\\:tool', 'ns', 'tool', false],
    ['ns:tool', 'x', 'ns:tool', false],
    ['[a:]*', 'x', ':tool', true],
    ['re:a:b', 'x', 'a:b', true],
    ['re:a:b', 're', 'a:b', true],
    ['fs:re:(?i)READ_.*', 'fs', 'read_x', true],
    ['fs:re:(?i)READ_.*', 'db', 'read_x', false],
  ])('%j on server %j, tool %j is %s', (pattern, server, tool, expected) => {
    expect(matches(pattern, server, tool)).toBe(expected);
  });

  it('knows what is exact, scoped, or every tool', () => {
    expect(compileToolPattern('fs:read')).toMatchObject({ serverText: 'fs', exactTool: 'read', isEveryTool: false });
    expect(compileToolPattern('*')).toMatchObject({ serverText: null, exactTool: null, isEveryTool: true });
    expect(compileToolPattern('fs:*')).toMatchObject({ serverText: 'fs', isEveryTool: true });
  });

  it.each(['', ':', ':read', 'fs:', 'fs:[', '[:read', 're:', 'fs:re:(', '{a}:b'])('refuses %j', (pattern) => {
    expect(() => compileToolPattern(pattern)).toThrow(PatternError);
  });
});
