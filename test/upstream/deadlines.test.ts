import { describe, expect, it } from 'vitest';
import { compileToolIndex } from '../../src/policy/tool-index.ts';
import { deadlinesOf } from '../../src/upstream/deadlines.ts';
import { call, stdioSettings } from './support.ts';

const COMMON = { timeoutMs: 30_000, timeoutMaxMs: 600_000 };

describe('deadlinesOf', () => {
  it('gives each tool the deadlines of the first pattern that matches it, and everything else those of the server', () => {
    const toolTimeouts = [
      { pattern: 'one:build_fast', timeoutMs: 1, timeoutMaxMs: 2 },
      { pattern: 'build_*', timeoutMs: 3, timeoutMaxMs: 4 },
      { pattern: 'two:*', timeoutMs: 5, timeoutMaxMs: 6 },
    ];
    const of = deadlinesOf(stdioSettings({}, { ...COMMON, toolTimeouts }), { compileTools: compileToolIndex });
    const idle = (method: string, params: object): number => of(call(method, params)).timeoutMs;
    expect(idle('tools/call', { name: 'build_fast' })).toBe(1);
    expect(idle('tools/call', { name: 'build_all' })).toBe(3);
    expect(idle('tools/call', { name: 'other' })).toBe(30_000);
    expect(idle('prompts/get', { name: 'build_all' })).toBe(30_000);
    expect(of(call('tools/list'))).toMatchObject(COMMON);
    expect(of(call('tools/call', { name: 'build_all' }))).toMatchObject({ timeoutMaxMs: 4 });
  });
});
