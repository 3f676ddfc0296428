import { describe, expect, it } from 'vitest';
import { parseToml } from '../../src/config/parse-toml.ts';
import { formatProblem, Problems } from '../../src/config/problems.ts';

describe('Problems', () => {
  it('lists each fault once, placed, in the order of the file', () => {
    const problems = new Problems();
    const { root } = parseToml('[server]\nhost = "x"\nport = 1');
    problems.error('server.port', 'is bad');
    problems.warn('elsewhere', 'is odd');
    problems.error('server.host', 'is bad');
    problems.error('server.port', 'is bad');
    expect(problems.listed(root).map((problem) => formatProblem(problem, 'f.toml'))).toEqual([
      'f.toml:2:1: error: server.host is bad',
      'f.toml:3:1: error: server.port is bad',
      'f.toml: warning: elsewhere is odd',
    ]);
    expect(problems.hasErrors).toBe(true);
  });

  it('ignores what others say of keys that are faulty anyway', () => {
    const problems = new Problems();
    problems.error('a', 'is bad');
    problems.add([
      { path: 'a', message: 'is the default', severity: 'error' },
      { path: 'b', message: 'is bad', severity: 'warning' },
    ]);
    expect(problems.listed(parseToml('').root).map((problem) => problem.message)).toEqual(['is bad', 'is bad']);
  });
});
