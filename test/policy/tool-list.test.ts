import { describe, expect, it } from 'vitest';
import { ToolList } from '../../src/policy/tool-list.ts';

describe('ToolList', () => {
  it('names the pattern that matches, exact ones first', () => {
    const list = new ToolList(['read_*', 'read_file', 'fs:write'], 'allowed_tools', true);
    expect(list.find('fs', 'read_file')).toEqual({ isAllowed: true, rule: 'allowed_tools "read_file"' });
    expect(list.find('fs', 'read_dir')).toEqual({ isAllowed: true, rule: 'allowed_tools "read_*"' });
    expect(list.find('fs', 'write')).toEqual({ isAllowed: true, rule: 'allowed_tools "fs:write"' });
    expect(list.find('db', 'write')).toBe(null);
  });

  it('matches nothing when empty', () => {
    const list = new ToolList([], 'allowed_tools', true);
    expect([list.find('fs', 'a'), list.coversServer('fs'), list.touchesServer('fs')]).toEqual([null, false, false]);
  });

  it('covers a server only by a pattern for all of its tools', () => {
    const list = new ToolList(['fs:*', 'db:read_*'], 'allowed_tools', true);
    expect([list.coversServer('fs'), list.coversServer('db')]).toEqual([true, false]);
    expect([list.touchesServer('fs'), list.touchesServer('db'), list.touchesServer('web')]).toEqual([true, true, false]);
  });
});
