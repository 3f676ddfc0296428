import { beforeAll, describe, expect, it } from 'vitest';
import { differences } from './differences.ts';
import { fixtureOverHttp, gatewayInFront, UPSTREAM_TRANSPORTS } from './fixture.ts';
import { countOf, runSuite, type Checks } from './suite.ts';

const REVISION = '2025-11-25';
const TIMEOUT_MS = 120_000;
/** Sessions live in one of them and are used from both. */
const WORKERS = 2;

describe(`the official suite, requirements of ${REVISION}`, { timeout: TIMEOUT_MS }, () => {
  let direct: Checks;

  beforeAll(async () => {
    direct = await runSuite(await fixtureOverHttp(), REVISION);
  }, TIMEOUT_MS);

  it('is run in full, and the fixture itself passes all that it has to', () => {
    const failed = [...direct].filter(([check, status]) => status === 'FAILURE' && !check.startsWith('tasks-'));
    expect([direct.size, countOf(direct, 'SUCCESS'), failed]).toEqual([84, 84, []]);
  });

  it.each(UPSTREAM_TRANSPORTS)(
    'row 229: says the same check by check, revision 2025-11-25, of the gateway in front of a server over %s',
    async (transport) => {
      const through = await runSuite(await gatewayInFront(transport, undefined, WORKERS), REVISION);
      expect(differences(direct, through)).toEqual([]);
    },
  );
});
