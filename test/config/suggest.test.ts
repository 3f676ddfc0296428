import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { editDistance, nearest } from '../../src/config/suggest.ts';

describe('editDistance', () => {
  it('counts inserts, deletes, replacements and swaps', () => {
    expect([
      editDistance('port', 'port'),
      editDistance('prot', 'port'),
      editDistance('por', 'port'),
      editDistance('pork', 'port'),
      editDistance('', 'abc'),
    ]).toEqual([0, 1, 1, 1, 3]);
  });

  it('is symmetric, zero for equal words only, and bounded by the longer word', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (left, right) => {
        const edits = editDistance(left, right);
        expect(edits).toBe(editDistance(right, left));
        expect(edits === 0).toBe(left === right);
        expect(edits).toBeLessThanOrEqual(Math.max(left.length, right.length));
      }),
    );
  });
});

describe('nearest', () => {
  it('finds the word that was meant', () => {
    const known = ['allowed_tools', 'denied_tools', 'servers', 'scope_tool_mapping'];
    expect(nearest('allowed_tool', known)?.name).toBe('allowed_tools');
    expect(nearest('Allowed-Tools', known)?.name).toBe('allowed_tools');
    expect(nearest('scope_mapping', known)?.name).toBe('scope_tool_mapping');
    expect(nearest('x', [])).toBeNull();
  });
});
