import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Access, Grants } from '../../src/core/access.ts';
import type { PolicySettings } from '../../src/core/config.ts';
import { accessCompiler, compileAccess } from '../../src/policy/compile.ts';
import { PatternError } from '../../src/policy/glob.ts';

const OPEN: PolicySettings = { tools: { allow: null, deny: [] } };

function access(grants: Partial<Grants>, policy: PolicySettings = OPEN, defaultTools: 'all' | 'none' = 'all'): Access {
  return compileAccess({ allowedTools: null, deniedTools: [], servers: null, ...grants }, policy, defaultTools);
}

function rule(of: Access, server: string, tool: string): string {
  const { isAllowed, rule: words } = of.tool(server, tool);
  return `${isAllowed ? 'allow' : 'deny'}: ${words}`;
}

describe('compileAccess', () => {
  it('decides by allowed_tools: stated, empty, star, or by default', () => {
    expect(rule(access({ allowedTools: ['echo'] }), 's', 'echo')).toBe('allow: allowed_tools "echo"');
    expect(rule(access({ allowedTools: ['echo'] }), 's', 'echo2')).toBe('deny: no allowed_tools pattern matches');
    expect(rule(access({ allowedTools: [] }), 's', 'echo')).toBe('deny: no allowed_tools pattern matches');
    expect(rule(access({ allowedTools: ['*'] }), 's', 'echo')).toBe('allow: allowed_tools "*"');
    expect(rule(access({}), 's', 'echo')).toBe('allow: auth.default_tools "all"');
    expect(rule(access({}, OPEN, 'none'), 's', 'echo')).toBe('deny: auth.default_tools "none"');
  });

  it('lets a denial beat every permission, the identity’s and the policy’s', () => {
    const own = access({ allowedTools: ['*', 'delete_file'], deniedTools: ['delete_*'] });
    expect(rule(own, 's', 'delete_file')).toBe('deny: denied_tools "delete_*"');
    const common = access({ allowedTools: ['delete_file'] }, { tools: { allow: ['*'], deny: ['re:(?i)delete.*'] } });
    expect(rule(common, 's', 'DELETE_file')).toBe('deny: policy.tools.deny "re:(?i)delete.*"');
  });

  it('matches whole names with regular expressions, in permissions and in denials', () => {
    const lists = access({ allowedTools: ['re:read.*', 're:write', 're:delete.*'], deniedTools: ['re:delete'] });
    expect(['read_file', 'write', 'delete_file'].map((tool) => lists.tool('s', tool).isAllowed)).toEqual([true, true, true]);
    expect(['unread', 'write_file', 'delete'].map((tool) => lists.tool('s', tool).isAllowed)).toEqual([false, false, false]);
  });

  it('needs both the policy and the identity to allow', () => {
    const policy: PolicySettings = { tools: { allow: ['read_*'], deny: [] } };
    expect(rule(access({ allowedTools: ['*'] }, policy), 's', 'write')).toBe('deny: no policy.tools.allow pattern matches');
    expect(rule(access({ allowedTools: ['read_a'] }, policy), 's', 'read_b')).toBe('deny: no allowed_tools pattern matches');
    expect(rule(access({ allowedTools: ['read_a'] }, policy), 's', 'read_a')).toBe('allow: allowed_tools "read_a"');
    expect(rule(access({}, { tools: { allow: [], deny: [] } }), 's', 'a')).toBe('deny: no policy.tools.allow pattern matches');
  });

  it('keeps an identity to its servers', () => {
    const limited = access({ servers: ['fs', 'db-*'], allowedTools: ['*'] });
    expect(['fs', 'db-1', 'web', 'fsx', 'FS', ''].map((server) => limited.mayReach(server))).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
    expect(rule(limited, 'web', 'a')).toBe('deny: no servers pattern matches');
    expect(access({ servers: [] }).mayReach('fs')).toBe(false);
    expect(access({}).mayReach('anything')).toBe(true);
  });

  it('scopes patterns to servers', () => {
    const scoped = access({ allowedTools: ['fs:read_*', 'db:*'], deniedTools: ['db:drop'] });
    expect(['read_a', 'write'].map((tool) => scoped.tool('fs', tool).isAllowed)).toEqual([true, false]);
    expect(['select', 'drop'].map((tool) => scoped.tool('db', tool).isAllowed)).toEqual([true, false]);
    expect(scoped.tool('web', 'read_a').isAllowed).toBe(false);
  });

  it('refuses empty and endless tool names whatever is allowed', () => {
    const all = access({ allowedTools: ['*'] });
    for (const tool of ['', 'a'.repeat(1025)]) expect(rule(all, 's', tool)).toBe('deny: tool name is empty or too long');
    expect(all.tool('s', 'a'.repeat(1024)).isAllowed).toBe(true);
  });

  it('refuses control characters in tool names: a server that stops at a NUL would call the tool that is denied', () => {
    const mostly = access({ allowedTools: ['*'], deniedTools: ['delete_file'] });
    for (const tool of ['delete_file\0', 'delete_file\0x', '\ndelete_file', 'delete\x7f_file'])
      expect(rule(mostly, 's', tool)).toBe('deny: tool name holds control characters');
    expect(mostly.tool('s', 'lösche_datei').isAllowed).toBe(true);
  });

  it('knows when a list needs no filtering, and never when a tool of it is refused', () => {
    expect(access({}).allowsAllTools('s')).toBe(true);
    expect(access({ allowedTools: ['*'] }).allowsAllTools('s')).toBe(true);
    expect(access({ allowedTools: ['s:*'] }).allowsAllTools('s')).toBe(true);
    expect(access({ allowedTools: ['s:*'] }).allowsAllTools('t')).toBe(false);
    expect(access({ deniedTools: ['t:x'] }).allowsAllTools('s')).toBe(true);
    expect(access({ deniedTools: ['x'] }).allowsAllTools('s')).toBe(false);
    expect(access({}, OPEN, 'none').allowsAllTools('s')).toBe(false);
    expect(access({}, { tools: { allow: ['a'], deny: [] } }).allowsAllTools('s')).toBe(false);
    expect(access({ servers: ['t'] }).allowsAllTools('s')).toBe(false);
    const pattern = fc.constantFrom('*', 's:*', 't:*', 'a', 's:a', 'a*', '*:*', 're:.*', '**');
    const patterns = fc.array(pattern, { maxLength: 2 });
    fc.assert(
      fc.property(fc.option(patterns), patterns, fc.option(patterns), patterns, (allowedTools, deniedTools, allow, deny) => {
        const drawn = access({ allowedTools, deniedTools }, { tools: { allow, deny } });
        if (!drawn.allowsAllTools('s')) return;
        for (const tool of ['a', 'b', 'ab', 'x:y']) expect(drawn.tool('s', tool).isAllowed).toBe(true);
      }),
    );
  });

  it('decides the same however often and in whatever order it is asked', () => {
    const many = access({ allowedTools: ['t1*', 'other:*'], deniedTools: ['*9'] });
    const tools = Array.from({ length: 3000 }, (_, i) => `t${i}`);
    const decide = (): string[] => tools.map((tool) => rule(many, 's', tool));
    const first = decide();
    expect(decide()).toEqual(first);
    expect(many.tool('s', 't1')).toBe(many.tool('s', 't1'));
    expect(rule(many, 'other', 't2')).toBe('allow: allowed_tools "other:*"');
    expect(rule(many, 's', 't2')).toBe('deny: no allowed_tools pattern matches');
  });

  it('says of a denial whether it is one for everybody or one of this identity', () => {
    const policy: PolicySettings = { tools: { allow: ['read_*', 'delete_*'], deny: ['delete_*'] } };
    const both = access({ allowedTools: ['read_*', 'delete_*', 'write'], deniedTools: ['read_secret'] }, policy);
    const isGeneral = (tool: string): boolean => both.tool('s', tool).isGeneral === true;
    expect(['delete_all', 'write', 'read_secret'].map(isGeneral)).toEqual([true, true, false]);
    expect(access({ allowedTools: [] }, policy).tool('s', 'read_a').isGeneral).toBeUndefined();
  });

  it('does not remember more for a flood of invented names', () => {
    const flooded = access({ allowedTools: ['x*'] });
    const used = (): number => {
      globalThis.gc?.();
      return process.memoryUsage().heapUsed;
    };
    const before = used();
    for (let i = 0; i < 200_000; i++) flooded.tool('s', `invented-tool-name-of-some-length-${i}`);
    // Remembering each would take some 30 MB.
    expect(used() - before).toBeLessThan(20 * 1024 * 1024);
    expect(flooded.tool('s', 'x1').isAllowed).toBe(true);
  });

  it('takes names that are properties of every object for plain names', () => {
    const plain = access({ allowedTools: ['echo'] });
    for (const tool of ['__proto__', 'constructor', 'toString']) expect(plain.tool('s', tool).isAllowed).toBe(false);
  });

  it('throws on a bad pattern instead of compiling a weaker policy', () => {
    expect(() => access({ deniedTools: ['[a'] })).toThrow(PatternError);
    expect(() => access({ servers: ['re:('] })).toThrow(PatternError);
    expect(() => access({}, { tools: { allow: null, deny: ['{a,b}'] } })).toThrow(PatternError);
  });
});

describe('accessCompiler', () => {
  const GRANTS: Grants = { allowedTools: ['a'], deniedTools: ['b'], servers: ['s'] };

  it('shares what is compiled among identities with the same grants, and among no others', () => {
    const compile = accessCompiler(OPEN, 'none');
    const first = compile(GRANTS);
    expect(compile({ servers: ['s'], deniedTools: ['b'], allowedTools: ['a'] })).toBe(first);
    const others: readonly Partial<Grants>[] = [
      { allowedTools: null },
      { allowedTools: [] },
      { allowedTools: ['a', 'b'] },
      { allowedTools: ['a","b'] },
      { deniedTools: [] },
      { servers: null },
      { servers: [] },
    ];
    const all = [first, ...others.map((change) => compile({ ...GRANTS, ...change }))];
    expect(new Set(all).size).toBe(all.length);
    expect(rule(first, 's', 'a')).toBe('allow: allowed_tools "a"');
    expect(rule(compile({ ...GRANTS, allowedTools: null }), 's', 'a')).toBe('deny: auth.default_tools "none"');
  });
});
