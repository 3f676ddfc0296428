import { beforeAll, describe, expect, it } from 'vitest';
import { rpc, type HttpAnswer } from '../e2e/http.ts';
import { modernHeaders, modernRequest } from '../e2e/modern.ts';
import { gatewayInFront } from './fixture.ts';

const TOOL = 'test_x_mcp_header';

/** Calls the tool of the fixture that has mirrored arguments, with these headers beside the ones that are always due. */
async function call(url: string, args: object, headers: Readonly<Record<string, string>> = {}): Promise<HttpAnswer> {
  const message = modernRequest('tools/call', { name: TOOL, arguments: args }, 'mine');
  return await rpc(url, message, { headers: { ...modernHeaders('tools/call', TOOL), ...headers } });
}

function refused({ status, json }: HttpAnswer): unknown[] {
  return [status, json?.['error']?.['code'], json?.['id']];
}

describe.each(['stdio', 'websocket'] as const)('a server over %s, which never sees a header', (transport) => {
  let url: string;

  beforeAll(async () => {
    url = await gatewayInFront(transport);
  });

  it('is called with arguments that their headers repeat, and with no others, from the first call on', async () => {
    const first = await Promise.all([call(url, { region: 'eu' }), call(url, { region: 'eu' }, { 'mcp-param-region': 'us' })]);
    expect(first.map(refused)).toEqual(Array(2).fill([400, -32020, 'mine']));
    const sound = await call(
      url,
      { region: 'Zürich', level: 3 },
      { 'mcp-param-region': '=?base64?WsO8cmljaA==?=', 'Mcp-Param-LEVEL': ' 3 ' },
    );
    expect([sound.status, sound.body.includes('region: Zürich, level: 3')]).toEqual([200, true]);
    expect((await call(url, {})).status).toBe(200);
  });

  it('does not get what is hidden behind a second header, or written otherwise', async () => {
    const wrong = [
      { 'mcp-param-region': 'eu', 'mcp-param-level': '4' },
      { 'mcp-param-region': '=?base64?ZXU?=', 'mcp-param-level': '3' },
      { 'mcp-param-region': 'eu' },
    ];
    const answers = await Promise.all(wrong.map((headers) => call(url, { region: 'eu', level: 3 }, headers)));
    expect(answers.map(refused)).toEqual(Array(3).fill([400, -32020, 'mine']));
  });
});
