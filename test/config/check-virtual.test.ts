import { describe, expect, it } from 'vitest';
import { errorsOf, load, snapshotOf, warningsOf } from './support.ts';

const AUTH = '[auth]\nallow_anonymous = true\n';

function config(names: readonly string[], more: string, extra = ''): string {
  return `${AUTH}${names.map((name) => `[[upstream.servers]]\nname = "${name}"\ncommand = "x"\n${extra}`).join('')}${more}`;
}

describe('virtual servers', () => {
  it('are none by default', () => {
    expect(snapshotOf(config(['a', 'b'], '')).virtuals).toEqual([]);
  });

  it('merge everything, or what was chosen', () => {
    const text = config(
      ['a', 'b'],
      '[upstream.aggregate]\nenabled = true\n[[upstream.virtual]]\nname = "v"\nservers = ["b"]\ntools = ["x*"]\nprompts = []\nseparator = "."\n[[upstream.virtual]]\nname = "w"\npath = "/x/w/"\nlist_timeout_secs = 2\n',
    );
    const every = { servers: ['a', 'b'], tools: null, prompts: null, resources: null, separator: '__' };
    expect(snapshotOf(text).virtuals).toEqual([
      { name: 'aggregate', isAggregate: true, path: '/', listTimeoutMs: 10_000, ...every },
      {
        ...every,
        name: 'v',
        isAggregate: false,
        path: '/v',
        listTimeoutMs: 10_000,
        servers: ['b'],
        tools: ['x*'],
        prompts: [],
        separator: '.',
      },
      { ...every, name: 'w', isAggregate: false, path: '/x/w', listTimeoutMs: 2_000 },
    ]);
  });

  it.each([
    ['a name of a server', '[[upstream.virtual]]\nname = "a"\npath = "/v"', 'upstream.virtual[0].name gives it the name of a server: "a"'],
    [
      'a name of another one',
      '[[upstream.virtual]]\nname = "v"\n[[upstream.virtual]]\nname = "v"\npath = "/w"',
      'upstream.virtual[1].name is the same as upstream.virtual[0].name',
    ],
    [
      'a path of another one',
      '[[upstream.virtual]]\nname = "v"\n[[upstream.virtual]]\nname = "w"\npath = "/v/"',
      'upstream.virtual[1].path is the same as upstream.virtual[0].path',
    ],
    [
      'the path of the whole',
      '[upstream.aggregate]\nenabled = true\n[[upstream.virtual]]\nname = "v"\npath = "/"',
      'upstream.virtual[0].path is the same as upstream.aggregate.path',
    ],
    [
      'a path that a server answers',
      '[[upstream.virtual]]\nname = "v"\npath = "/b/all"',
      'upstream.virtual[0].path begins with the name of a server ("b"), which would answer first',
    ],
    [
      'a server that is none',
      '[[upstream.virtual]]\nname = "v"\nservers = ["a", "c"]',
      'upstream.virtual[0].servers[1] names no server: "c"',
    ],
    ['a server twice', '[[upstream.virtual]]\nname = "v"\nservers = ["a", "a"]', 'upstream.virtual[0].servers[1] is given twice: "a"'],
    ['no server', '[[upstream.virtual]]\nname = "v"\nservers = []', 'upstream.virtual[0].servers is empty: it would offer nothing'],
    ['no name', '[[upstream.virtual]]\npath = "/v"', 'upstream.virtual[0].name is missing'],
    [
      'a separator that no name may have',
      '[upstream.aggregate]\nenabled = true\nseparator = "/"',
      'upstream.aggregate.separator must be 1 to 16 of A-Z a-z 0-9 _ . -',
    ],
    ['no separator', '[upstream.aggregate]\nenabled = true\nseparator = ""', expect.stringContaining('upstream.aggregate.separator')],
  ])('may not have %s', (_what, more, message) => {
    expect(errorsOf(load(config(['a', 'b'], more)))).toContainEqual(message);
  });

  it('may not have the path of a server, nor the name of one for the whole', () => {
    const prefix = 'path_prefix = "/"\n';
    expect(errorsOf(load(config(['a'], '[upstream.aggregate]\nenabled = true', prefix)))).toEqual([
      'upstream.aggregate.path is the path_prefix of a server ("a")',
    ]);
    expect(errorsOf(load(config(['aggregate'], '[upstream.aggregate]\nenabled = true')))).toEqual([
      'upstream.aggregate.enabled gives it the name of a server: "aggregate"',
    ]);
  });

  it.each([
    [['fs', 'fs__x'], '__', true],
    [['fs', 'fs_x'], '_', true],
    [['fs', 'fs2'], '__', false],
    [['a', 'a-b'], '-', true],
    [['fs_x', 'fs'], '__', false],
  ] as const)('must tell tools of %j apart with %j', (names, separator, isAmbiguous) => {
    const errors = errorsOf(load(config(names, `[upstream.aggregate]\nenabled = true\nseparator = "${separator}"`)));
    expect(errors).toEqual(
      isAmbiguous ? [expect.stringMatching(/^upstream\.aggregate\.separator does not tell the tools of ".+" and ".+" apart/)] : [],
    );
  });

  it('warn of prefixes that leave little of a name', () => {
    const name = 'x'.repeat(50);
    expect(warningsOf(load(config([name, 'b'], '[[upstream.virtual]]\nname = "v"')))).toContainEqual(
      expect.stringContaining('upstream.virtual[0].separator makes a prefix of 52 characters'),
    );
  });
});
