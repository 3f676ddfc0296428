import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { startAudited, type AuditedGateway } from './audited-gateway.ts';
import { http, makeKey, rawExchange, rpc, rpcRequest, toolCall, type Gateway } from './harness.ts';

let audited: AuditedGateway;
let gateway: Gateway;

beforeAll(async () => {
  audited = await startAudited();
  gateway = audited.gateway;
});

describe('the audit trail under attack', () => {
  it('row 202: newlines, terminal escapes and separators in what a client sends stay inside one line', async () => {
    const evil =
      'a\nb\r\nc\u001b[2J\u001b]0;x\u0007\u2028d\u2029e\u0085f\u202eg\u200bh\u0000"},{"event_type":"admin_action","identity":"root"}';
    const forged = `x\n${JSON.stringify({ timestamp: '2026-01-01T00:00:00.000Z', event_type: 'admin_action', identity: 'root' })}\n`;
    for (const text of [evil, forged]) {
      const { closing } = await audited.ask(toolCall(text));
      expect(closing['tool']).toBe(text);
      const resource = await audited.ask(rpcRequest('resources/read', { uri: text }));
      expect(resource.closing['resource']).toBe(text);
      const method = await audited.ask(rpcRequest(text));
      expect(method.closing['method']).toBe(text);
    }
    const raw = await readFile(join(gateway.dir, 'mcp-guard-audit.jsonl'), 'utf8');
    expect(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202e\u200b]/.test(raw)).toBe(false);
    expect((await gateway.auditLines()).filter((line) => line['event_type'] === 'admin_action' && line['seq'] === undefined)).toEqual([]);
    for (const line of gateway.stderr().split('\n').filter(Boolean)) JSON.parse(line);
    expect(gateway.stderr()).not.toContain('\u001b');
  });

  it('row 202: request ids that are no plain token are not taken over, so they cannot forge a line either', async () => {
    for (const id of ['a b', 'a\tb', 'x'.repeat(129), '{"a":1}', 'a,b', '"']) {
      const answer = await rpc(gateway.mcp, rpcRequest('ping'), { key: audited.keys.alice.key, headers: { 'x-request-id': id } });
      expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  it.each([
    ['2-byte', 'é'.repeat(5000)],
    ['3-byte', '漢'.repeat(3334)],
    ['4-byte', '😀'.repeat(2500)],
    ['4-byte, off by one', `x${'😀'.repeat(2500)}`],
    ['joined', '👩‍👩‍👧‍👦'.repeat(400)],
    ['combining', `e${'\u0301'.repeat(5000)}`],
  ])('row 202: a tool name of 10 kB in %s characters does not crash, and is cut between characters', async (_, name) => {
    const { answer, closing } = await audited.ask(toolCall(name));
    // Longer than any tool may be called: refused, and recorded all the same.
    expect([answer.status, closing['event_type']]).toEqual([403, 'authz_denied']);
    const tool = String(closing['tool']);
    expect(tool.endsWith('…')).toBe(true);
    expect(tool.length).toBeLessThanOrEqual(1025);
    expect(tool.isWellFormed()).toBe(true);
    expect(name.startsWith(tool.slice(0, -1))).toBe(true);
    expect((await audited.ask(rpcRequest('ping'))).answer.status).toBe(200);
  });

  it('row 204: a key or token that a client puts anywhere appears nowhere', async () => {
    const canaries = Array.from({ length: 3 }, () => makeKey().key);
    const [key = '', other = '', third = ''] = canaries;
    const jwt = `eyJhbGciOiJIUzI1NiJ9.${'eyJzdWIiOiJhbGljZSJ9'}.${'c2lnbmF0dXJlLWNhbmFyeQ'}`;
    const basic = Buffer.from('alice:canary-password').toString('base64');
    await audited.ask(toolCall('echo'), { key });
    await audited.ask(toolCall('echo'), { key: jwt });
    await audited.ask(toolCall('echo'), {
      headers: { authorization: `Basic ${basic}`, 'x-api-key': key, cookie: `session=${other}`, 'proxy-authorization': `Bearer ${third}` },
    });
    await audited.ask(toolCall(other));
    await audited.ask(toolCall(`Bearer ${third}`, { token: third }));
    await audited.ask(rpcRequest('resources/read', { uri: `https://alice:canary-password@host/?api_key=${key}` }));
    await audited.ask(rpcRequest(`tools/${third}`));
    await audited.ask(toolCall('echo', { password: 'canary-password', key }), {
      url: `${gateway.mcp}?api_key=${key}&access_token=${other}`,
    });
    await http('GET', `${gateway.url}/${key}`, { headers: { authorization: `Bearer ${other}`, 'x-request-id': third } });
    await rawExchange(
      gateway.port,
      [`GET /metrics?key=${key} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${third}\r\nAuthorization: ${key}\r\n\r\n`],
      { quietMs: 500 },
    );
    await audited.ask(rpcRequest('ping'));
    const raw = await readFile(join(gateway.dir, 'mcp-guard-audit.jsonl'), 'utf8');
    const metrics = (await http('GET', `${gateway.url}/metrics`, { key: audited.keys.root.key })).body;
    for (const sink of [raw, gateway.stderr(), gateway.stdout(), metrics]) {
      for (const secret of [
        ...canaries,
        jwt,
        'c2lnbmF0dXJl',
        basic,
        'canary-password',
        audited.keys.alice.key,
        audited.keys.root.key,
        audited.keys.alice.hash,
      ])
        expect(sink).not.toContain(secret);
    }
    expect(raw).toContain('[redacted]');
  });
});
