import { describe, expect, it } from 'vitest';
import { nodeProblem } from './preflight.mjs';

describe('the check of Node', () => {
  it.each(['22.18.0', '22.23.3', '22.99.1'])('takes %s', (version) => {
    expect(nodeProblem(version)).toBeNull();
  });

  it.each(['18.20.0', '20.20.2', '22.17.1', '24.1.0'])('refuses %s and says which install script to approve', (version) => {
    const problem = nodeProblem(version);
    expect(problem).toContain(version);
    expect(problem).toContain('npm install-scripts approve node');
    expect(problem).toContain('npm rebuild node --ignore-scripts=false');
  });

  it('is the one under which the tests run', () => {
    expect(nodeProblem(process.versions.node)).toBeNull();
  });
});
