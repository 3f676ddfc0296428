import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { initTemplate } from '../../src/config/init-template.ts';
import { CONFIG_FORMATS } from '../../src/config/parse.ts';
import { HASH, load, snapshotOf } from './support.ts';

const PARTS = { keyId: 'demo', keyHash: HASH, command: ['/usr/bin/node', '/opt/mcp guard/main.js', 'demo-server'] };

describe('initTemplate', () => {
  it('is valid without a warning and means the same in every syntax (rows 1, 2)', () => {
    const [first, ...others] = CONFIG_FORMATS.map((format) => load(initTemplate(format, PARTS), { format }));
    expect(first?.problems).toEqual([]);
    expect(first?.snapshot).toMatchObject({
      server: { host: '127.0.0.1', port: 3000 },
      auth: { apiKeys: [{ id: 'demo', keyHash: HASH, grants: { allowedTools: ['*'] } }] },
      policy: { tools: { deny: ['delete_file'] } },
      upstreams: [{ stdio: { command: '/usr/bin/node', args: ['/opt/mcp guard/main.js', 'demo-server'] } }],
    });
    for (const other of others) expect(other).toEqual(first);
  });

  it('explains itself where the syntax has comments, and is plain JSON otherwise', () => {
    expect(initTemplate('toml', PARTS)).toContain('# ');
    expect(initTemplate('yaml', PARTS)).toContain('# ');
    expect(JSON.parse(initTemplate('json', PARTS))).toHaveProperty('upstream');
  });

  it('writes any program path so that it is read back as it is', () => {
    const argument = fc.oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).map((text) => text.toWellFormed().replaceAll('\0', '')),
      fc.constantFrom('${HOME}', "it's", 'C:\\x', 'a"b', '# x', "'''", '\u2028', '\u007f', '\ufeff', '- a', '{{'),
    );
    fc.assert(
      fc.property(
        fc.array(
          argument.filter((text) => text !== ''),
          { minLength: 1, maxLength: 3 },
        ),
        fc.constantFrom(...CONFIG_FORMATS),
        (command, format) => {
          const { upstreams } = snapshotOf(initTemplate(format, { ...PARTS, command }), { format });
          expect([upstreams[0]?.stdio?.command, ...(upstreams[0]?.stdio?.args ?? [])]).toEqual(command);
        },
      ),
      { numRuns: 500 },
    );
  });
});
