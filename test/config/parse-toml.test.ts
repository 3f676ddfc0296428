import { describe, expect, it } from 'vitest';
import { parseToml } from '../../src/config/parse-toml.ts';
import { locate, toPlain } from '../../src/config/tree.ts';

describe('parseToml', () => {
  it('keeps the position of every key', () => {
    const { root } = parseToml(
      '[server]\nport = 1\n  tls.cert_path = "x"\n[[auth.api_keys]]\nid = "a"\n[[auth.api_keys]]\nallowed_tools = ["x",\n  "y"]\n',
    );
    expect(locate(root, 'server.port').at).toEqual({ line: 2, column: 1 });
    expect(locate(root, 'server.tls.cert_path').at).toEqual({ line: 3, column: 7 });
    expect(locate(root, 'auth.api_keys[1]').at).toEqual({ line: 6, column: 8 });
    expect(locate(root, 'auth.api_keys[1].allowed_tools[1]').at).toEqual({ line: 8, column: 3 });
    expect(locate(root, 'auth.api_keys[1].missing.deep').at).toEqual({ line: 6, column: 8 });
    expect(locate(root, 'nothing').at).toBeNull();
  });

  it.each([
    ['a repeated key', 'a = 1\na = 2', 2],
    ['a repeated table', '[a]\n[b]\n[a]', 3],
    ['a table over a value', 'a = 1\n[a]\n', 2],
    ['a value over a table', '[a.b]\n[a]\nb = 1', 3],
    ['an array of tables over an array', 'a = [1]\n[[a]]', 2],
    ['extending an inline table', 'a = { b = 1 }\n[a.c]', 2],
    ['a dotted key into a table defined elsewhere', '[a.b]\nc = 1\n[a]\nb.d = 2', 4],
    ['a missing value', 'a =\n', 2],
  ])('refuses %s and says where', (_, text, line) => {
    const { faults } = parseToml(text);
    expect(faults.length).toBeGreaterThan(0);
    expect(faults[0]?.at?.line).toBe(line);
  });

  it('leaves dates as they are written', () => {
    expect(toPlain(parseToml('a = 2030-01-31\nb = 2030-01-31T10:00:00+01:00').root)).toEqual({
      a: '2030-01-31',
      b: '2030-01-31T10:00:00+01:00',
    });
  });

  it('treats __proto__ as a key like any other', () => {
    const { root } = parseToml('__proto__ = 1\n[constructor.prototype]\nx = 1');
    expect([...root.entries.keys()]).toEqual(['__proto__', 'constructor']);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });
});
