import { describe, expect, it } from 'vitest';
import { CliError, codeOf, plain } from '../../src/cli/io.ts';

describe('CliError', () => {
  it('is one line with the name of the program, or several lines as they are', () => {
    expect(new CliError('no\nway').lines).toEqual(['mcp-guard: no way']);
    expect(new CliError(['a:1: x', 'a:2: y']).lines).toEqual(['a:1: x', 'a:2: y']);
  });
});

describe('plain', () => {
  it('takes escape sequences, line ends and direction marks out of foreign text and bounds it', () => {
    expect(plain('a\u001b[31mred\nb\u202ec\u2028d\u009b')).toBe('a?[31mred?b?c?d?');
    expect(plain('ü 😀 日本')).toBe('ü 😀 日本');
    expect(plain('x'.repeat(10_000))).toHaveLength(512);
  });
});

describe('codeOf', () => {
  it('reads the code of system errors only', () => {
    expect(codeOf(Object.assign(new Error('x'), { code: 'EACCES' }))).toBe('EACCES');
    expect(codeOf(new Error('x'))).toBe('');
    expect(codeOf('EACCES')).toBe('');
  });
});
