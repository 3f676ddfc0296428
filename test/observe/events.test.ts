import { afterEach, describe, expect, it } from 'vitest';
import { compileRedaction } from '../../src/audit/redact.ts';
import { CLOCK_ORIGIN_MS } from '../../src/core/clock.ts';
import type { AuditRecord, AuditSink } from '../../src/core/audit.ts';
import type { RequestContext } from '../../src/core/context.ts';
import * as errors from '../../src/core/errors.ts';
import type { Refusal } from '../../src/core/refusal.ts';
import type { Upstream } from '../../src/core/upstream.ts';
import { buildEvents } from '../../src/observe/events.ts';
import { createLog } from '../../src/observe/log.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { fakeClock } from '../audit/support.ts';
import { contextOf, parseExposition, principalOf, recordingAudit, recordingDestination, valueOf } from './support.ts';

const open: Metrics[] = [];
afterEach(() => {
  for (const metrics of open.splice(0)) metrics.close();
});

function build(audit: AuditSink | null = null) {
  const clock = fakeClock();
  const metrics = new Metrics(clock);
  open.push(metrics);
  const destination = recordingDestination();
  const redact = compileRedaction([]);
  const log = createLog({ level: 'info', format: 'json' }, { verbosity: 0, redact, destination });
  const memory = recordingAudit();
  const events = buildEvents({ metrics, audit: audit ?? memory, log, clock, policyVersion: 'v1', redact });
  const lines = (): Record<string, unknown>[] => destination.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  const value = async (name: string, labels: Record<string, string> = {}) =>
    valueOf(parseExposition(await metrics.registry.metrics()), name, labels);
  return { clock, metrics, events, records: memory.records, lines, text: destination.lines, value };
}

const alice = principalOf('alice');
const call: Partial<RequestContext> = {
  principal: alice,
  server: 'fs',
  transport: 'stdio',
  method: 'tools/call',
  methodLabel: 'tools/call',
  tool: 'read_file',
};

function refused(refusal: Refusal, changes: Partial<RequestContext> = {}): RequestContext {
  return contextOf({ refusal, status: refusal.status, errorId: 'e-1', ...changes });
}

describe('settled', () => {
  it('a tool whose answers are errors gets no series of its own, in whichever way they say so', async () => {
    const { events, value } = build();
    const sent = { ...call, sentMs: 1 };
    events.settled(contextOf({ ...sent, tool: 'invented', isToolError: true }));
    events.settled(contextOf({ ...sent, tool: 'invented', upstreamErrorCode: -32602 }));
    expect(await value('mcp_guard_tool_calls_total', { server: 'fs', tool: 'invented' })).toBeUndefined();
    expect(await value('mcp_guard_tool_calls_total', { server: 'fs', tool: 'other' })).toBe(2);
    events.settled(contextOf({ ...sent, tool: 'invented' }));
    events.settled(contextOf({ ...sent, tool: 'invented', isToolError: true }));
    expect(await value('mcp_guard_tool_calls_total', { server: 'fs', tool: 'invented' })).toBe(2);
  });

  it('row 200: a tool call has one tool_call and one tool_response with its duration', async () => {
    const { clock, events, records, value } = build();
    const context = contextOf({ ...call, startMs: clock.nowMs(), sentMs: clock.nowMs(), detail: 'allowed_tools "read_*"' });
    events.sent(context);
    clock.advance(12.5);
    events.settled(context);
    const shared = {
      request_id: 'req-1',
      isIdMinted: false,
      identity: 'alice',
      provider: 'api_key',
      client_ip: '192.0.2.7',
      server: 'fs',
      method: 'tools/call',
      tool: 'read_file',
      policy_version: 'v1',
    };
    expect(records).toEqual([
      { event_type: 'tool_call', ...shared, decision: 'allow', detail: 'allowed_tools "read_*"' },
      { event_type: 'tool_response', ...shared, decision: 'allow', detail: 'allowed_tools "read_*"', status: 200, duration_ms: 12.5 },
    ]);
    expect(await value('mcp_guard_tool_calls_total', { server: 'fs', tool: 'read_file' })).toBe(1);
    expect(await value('mcp_guard_requests_total', { method: 'tools/call', status: '200' })).toBe(1);
    expect(await value('mcp_guard_upstream_latency_seconds_sum', { server: 'fs', transport: 'stdio', result: 'success' })).toBeCloseTo(
      0.0125,
    );
  });

  it.each([
    [errors.AUTH_MISSING, 'auth_failure', 'deny'],
    [errors.AUTH_EXPIRED, 'auth_failure', 'deny'],
    [errors.TOOL_DENIED, 'authz_denied', 'deny'],
    [errors.POLICY_DENIED, 'policy_denied', 'deny'],
    [errors.SERVER_DENIED, 'authz_denied', 'deny'],
    [errors.ADMIN_REQUIRED, 'authz_denied', 'deny'],
    [errors.HOST_DENIED, 'request_refused', 'deny'],
    [errors.ORIGIN_DENIED, 'request_refused', 'deny'],
    [errors.RATE_LIMITED, 'rate_limited', 'deny'],
    [errors.TOO_MANY_IN_FLIGHT, 'rate_limited', 'deny'],
    [errors.LIMIT_UNAVAILABLE, 'rate_limited', 'deny'],
    [errors.UPSTREAM_FAILED, 'upstream_error', 'allow'],
    [errors.UPSTREAM_DOWN, 'upstream_error', 'allow'],
    [errors.UPSTREAM_BUSY, 'upstream_error', 'allow'],
    [errors.UPSTREAM_TIMEOUT, 'upstream_error', 'allow'],
    [errors.DRAINING, 'request_refused', 'deny'],
    [errors.OVERLOADED, 'request_refused', 'deny'],
    [errors.BAD_JSON, 'request_refused', 'deny'],
    [errors.METHOD_UNKNOWN, 'request_refused', 'deny'],
    [errors.INTERNAL, 'request_refused', 'deny'],
  ] as const)('row 198: %o is recorded once, as %s', (refusal, event, decision) => {
    const { events, records } = build();
    events.settled(refused(refusal));
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({ event_type: event, decision, reason: refusal.reason, status: refusal.status, error_id: 'e-1' });
  });

  it('says when a limit decided, on the clock that all processes of the machine share, and nothing where none was asked', () => {
    const { events, records } = build();
    events.settled(contextOf({ ...call, decidedMs: 12.5 }));
    events.settled(refused(errors.RATE_LIMITED, { decidedMs: 13 }));
    events.settled(refused(errors.AUTH_MISSING));
    expect(records.map((record) => record.decided_ms)).toEqual([CLOCK_ORIGIN_MS + 12.5, CLOCK_ORIGIN_MS + 13, undefined]);
    expect(CLOCK_ORIGIN_MS + performance.now()).toBeCloseTo(Number(process.hrtime.bigint()) / 1e6, -1);
  });

  it('every refusal of the catalogue but a health check that failed has exactly one record, and each counts under its reason', async () => {
    const { events, records, value } = build();
    const catalogue = Object.values(errors).filter((item): item is Refusal => typeof item === 'object');
    for (const refusal of catalogue) events.settled(refused(refusal));
    expect(records).toHaveLength(catalogue.length - 1);
    expect(records.map(({ reason }) => reason)).not.toContain(errors.NOT_READY.reason);
    for (const { reason } of catalogue) expect(await value('mcp_guard_refusals_total', { reason })).toBeGreaterThan(0);
  });

  it.each([
    [{ methodLabel: 'health' }, null],
    [{ methodLabel: 'live' }, null],
    [{ methodLabel: 'ready', status: 503, refusal: errors.NOT_READY }, null],
    [{ methodLabel: 'metrics', principal: principalOf('root', 'admin_token', true) }, 'admin_action'],
    [{ methodLabel: 'routes' }, 'admin_action'],
    [{ methodLabel: 'tools/list', method: 'tools/list', sentMs: 1 }, 'request'],
    [{ methodLabel: 'resource_metadata' }, 'request'],
    [{ ...call, sentMs: 0, status: 499 }, 'request'],
    [{ ...call, sentMs: 5, status: 499 }, 'tool_response'],
  ] as const)('records a served %o as %s', (changes, event) => {
    const { events, records } = build();
    events.settled(contextOf(changes));
    expect(records.map((record) => record.event_type)).toEqual(event === null ? [] : [event]);
  });

  it('records a refused health check', () => {
    const { events, records } = build();
    events.settled(refused(errors.METHOD_NOT_ALLOWED, { methodLabel: 'health' }));
    expect(records[0]?.event_type).toBe('request_refused');
  });

  it('records a client that left, and an error that the upstream answered', () => {
    const { events, records } = build();
    events.settled(contextOf({ ...call, sentMs: 5, status: 499 }));
    events.settled(contextOf({ ...call, sentMs: 5, upstreamErrorCode: -32602 }));
    expect(records.map(({ reason, status }) => [reason, status])).toEqual([
      ['client_gone', 499],
      ['upstream_answered_error_-32602', 200],
    ]);
  });

  it('counts how the upstream ended, in band failures included', async () => {
    const { events, value } = build();
    const sent = { ...call, sentMs: 500 };
    events.settled(contextOf(sent));
    events.settled(contextOf({ ...sent, upstreamErrorCode: -32000 }));
    events.settled(contextOf({ ...sent, status: 499 }));
    events.settled(refused(errors.UPSTREAM_TIMEOUT, { ...sent, status: 200 }));
    events.settled(refused(errors.UPSTREAM_FAILED, sent));
    events.settled(refused(errors.UPSTREAM_DOWN, call));
    events.settled(refused(errors.TOOL_DENIED, call));
    const of = (result: string) => value('mcp_guard_upstream_requests_total', { server: 'fs', transport: 'stdio', result });
    expect([
      await of('success'),
      await of('error'),
      await of('client_gone'),
      await of('timeout'),
      await of('failure'),
      await of('refused'),
    ]).toEqual([1, 1, 1, 1, 1, 1]);
    expect(await value('mcp_guard_upstream_latency_seconds_count', { server: 'fs', transport: 'stdio', result: 'refused' })).toBe(0);
    expect(await value('mcp_guard_blocked_total')).toBe(1);
  });

  it('row 60: logs a refusal with the error id that stands in the answer and the audit', () => {
    const { events, records, lines } = build();
    events.settled(refused(errors.TOOL_DENIED, { ...call, errorId: 'the-id', detail: 'denied_tools "read_*"' }));
    events.settled(refused(errors.UPSTREAM_FAILED, { ...call, errorId: 'other-id' }));
    expect(lines()).toMatchObject([
      { level: 'info', error_id: 'the-id', code: 'TOOL_DENIED', identity: 'alice', tool: 'read_file', detail: 'denied_tools "read_*"' },
      { level: 'warn', error_id: 'other-id', code: 'UPSTREAM_FAILED' },
    ]);
    expect(records.map((record) => record.error_id)).toEqual(['the-id', 'other-id']);
  });

  it('does not let a flood of refusals fill the log, says how many were left out, and records them all', async () => {
    const { clock, events, records, lines, value } = build();
    for (let i = 0; i < 5000; i++) events.settled(refused(errors.AUTH_MISSING));
    expect(lines()).toHaveLength(200);
    clock.advance(1000);
    expect(lines().at(-1)).toMatchObject({ level: 'warn', lines: 4800 });
    expect(records).toHaveLength(5000);
    expect(await value('mcp_guard_log_suppressed_total')).toBe(4800);
    events.settled(refused(errors.AUTH_MISSING));
    expect(lines()).toHaveLength(202);
  });
});

describe('authenticated', () => {
  it('row 69: a failure is counted under the provider it was meant for, and recorded once', async () => {
    const { events, records, value } = build();
    const attempts: [Parameters<typeof contextOf>[1], string][] = [
      [{}, 'none'],
      [{ authorization: `bearer  mcp_${'x'.repeat(43)}` }, 'api_key'],
      [{ xApiKey: 'anything' }, 'api_key'],
      [{ authorization: 'Bearer eyJhbGciOiJIUzI1NiJ9.e30.x' }, 'jwt'],
      [{ authorization: 'Basic dXNlcg==' }, 'unknown'],
    ];
    for (const [head, provider] of attempts) {
      const context = contextOf({ refusal: errors.AUTH_INVALID, status: 401, errorId: 'e' }, head);
      events.authenticated(context);
      events.settled(context);
      expect(await value('mcp_guard_auth_total', { provider, result: 'failure' })).toBeGreaterThan(0);
    }
    expect(records.map((record) => record.event_type)).toEqual(attempts.map(() => 'auth_failure'));
  });

  it('row 214: a success is counted under the real provider, each time', async () => {
    const { events, value } = build();
    for (const provider of ['api_key', 'api_key', 'anonymous', 'admin_token'] as const)
      events.authenticated(contextOf({ principal: principalOf('x', provider) }));
    expect(await value('mcp_guard_auth_total', { provider: 'api_key', result: 'success' })).toBe(2);
    expect(await value('mcp_guard_auth_total', { provider: 'anonymous', result: 'success' })).toBe(1);
  });

  it('row 198: a success is recorded once in five minutes per principal and address', () => {
    const { clock, events, records } = build();
    const from = (id: string, clientIp: string): void => events.authenticated(contextOf({ principal: principalOf(id) }, { clientIp }));
    for (let i = 0; i < 3; i++) from('alice', '192.0.2.1');
    from('alice', '192.0.2.2');
    from('bob', '192.0.2.1');
    expect(records).toHaveLength(3);
    expect(records[0]).toMatchObject({ event_type: 'auth_success', identity: 'alice', decision: 'allow' });
    clock.advance(300_000);
    from('alice', '192.0.2.1');
    expect(records).toHaveLength(4);
  });

  it('counts what the budgets decide, once per request, and which limit refused', async () => {
    const { events, value, records } = build();
    const principal = principalOf('alice');
    const settle = (changes: Parameters<typeof contextOf>[0]): void => events.settled(contextOf(changes));
    settle({ principal, limitedBy: 'principal' });
    settle({ principal, limitedBy: 'tool', refusal: errors.TOOL_DENIED, status: 403 });
    settle({ principal, limitedBy: 'tool', refusal: errors.RATE_LIMITED, status: 429 });
    settle({ limitedBy: 'address', refusal: errors.RATE_LIMITED, status: 429 });
    settle({ limitedBy: 'address', refusal: errors.AUTH_INVALID, status: 401 });
    settle({ principal, limitedBy: 'principal', refusal: errors.LIMIT_UNAVAILABLE, status: 503 });
    settle({ principal, limitedBy: 'in_flight', refusal: errors.TOO_MANY_IN_FLIGHT, status: 429 });
    settle({ principal, limitedBy: 'principal', refusal: errors.UPSTREAM_BUSY, status: 503 });
    settle({});
    const decisions = async (allowed: string): Promise<unknown> => await value('mcp_guard_rate_limit_total', { allowed });
    expect([await decisions('true'), await decisions('false')]).toEqual([4, 3]);
    const refused = async (limit: string): Promise<unknown> => await value('mcp_guard_rate_limit_refused_total', { limit });
    const limits = ['address', 'principal', 'tool', 'method', 'in_flight', 'upstream'];
    expect(await Promise.all(limits.map(refused))).toEqual([1, 1, 1, 0, 1, 1]);
    expect(records.map(({ event_type, limit }) => [event_type, limit])).toEqual([
      ['request', undefined],
      ['authz_denied', undefined],
      ['rate_limited', 'tool'],
      ['rate_limited', 'address'],
      ['auth_failure', undefined],
      ['rate_limited', 'principal'],
      ['rate_limited', 'in_flight'],
      ['upstream_error', 'upstream'],
      ['request', undefined],
    ]);
  });
});

describe('upstream events', () => {
  const upstream = (state: Upstream['state'], detail: string | null): Upstream =>
    ({ name: 'fs', transport: 'stdio', state, detail }) as Upstream;

  it('show the state, restarts and noise of an upstream', async () => {
    const { events, lines, value } = build();
    events.stateChanged(upstream('ready', null));
    expect(await value('mcp_guard_upstream_up', { server: 'fs', transport: 'stdio' })).toBe(1);
    events.stateChanged(upstream('down', 'exited with code 1'));
    expect(await value('mcp_guard_upstream_up', { server: 'fs', transport: 'stdio' })).toBe(0);
    events.restarted('fs', 2);
    events.noise('fs', 'not_json');
    expect(await value('mcp_guard_upstream_restarts_total', { server: 'fs' })).toBe(1);
    expect(await value('mcp_guard_upstream_noise_total', { server: 'fs', kind: 'not_json' })).toBe(1);
    expect(lines().map(({ level, msg }) => [level, msg])).toEqual([
      ['info', 'upstream is ready'],
      ['warn', 'upstream is down'],
      ['warn', 'upstream restarted'],
    ]);
  });

  it('row 160: stderr lines are tagged, redacted, limited per server, counted, and the last hundred kept', async () => {
    const { clock, events, lines, text, value } = build();
    const key = `mcp_${'K'.repeat(43)}`;
    for (let i = 0; i < 1000; i++) events.stderrLine('fs', `line ${i} ${key}\u001b[31m`);
    events.stderrLine('git', 'other server');
    expect(lines()).toHaveLength(21);
    expect(lines()[0]).toMatchObject({ server: 'fs', msg: 'upstream stderr' });
    expect(lines()[20]).toMatchObject({ server: 'git', line: 'other server' });
    clock.advance(1000);
    expect(lines().at(-1)).toMatchObject({ server: 'fs', lines: 980 });
    const tail = events.stderrTail('fs');
    expect(tail).toHaveLength(100);
    expect([tail[0]?.line, tail[99]?.line]).toEqual(['line 900 [redacted]\\u001b[31m', 'line 999 [redacted]\\u001b[31m']);
    expect(tail[0]?.wallMs).toBe(clock.wallMs() - 1000);
    expect(text.join('')).not.toContain('KKKK');
    expect(await value('mcp_guard_upstream_stderr_lines_total', { server: 'fs' })).toBe(1000);
    expect(events.stderrTail('nobody')).toEqual([]);
  });
});

describe('faults', () => {
  it('are counted and logged with their stack, at a bounded rate', async () => {
    const { events, lines, value } = build();
    for (let i = 0; i < 200; i++) events.internalError('request', new TypeError('boom'));
    events.internalError('uncaught', 'a string');
    expect(lines()).toHaveLength(50);
    expect(lines()[0]).toMatchObject({ level: 'error', where: 'request', err: { type: 'TypeError', message: 'boom' } });
    expect(await value('mcp_guard_internal_errors_total', { where: 'request' })).toBe(200);
    expect(await value('mcp_guard_internal_errors_total', { where: 'uncaught' })).toBe(1);
  });

  it('in an event never reach the request, and the request is counted all the same', async () => {
    const broken: AuditSink = {
      write: () => {
        throw new Error('full');
      },
    };
    const { events, value } = build(broken);
    events.settled(contextOf({ method: 'ping', methodLabel: 'ping' }));
    events.settled(null as unknown as RequestContext);
    expect(await value('mcp_guard_requests_total', { method: 'ping', status: '200' })).toBe(1);
    expect(await value('mcp_guard_internal_errors_total', { where: 'event_settled' })).toBe(2);
  });
});

describe('credentials', () => {
  it('row 204: appear in no sink, wherever a client or a child put them', async () => {
    const { events, metrics, records, text } = build();
    const canary = `mcp_${'CANARY'.repeat(8)}`;
    const head = { authorization: `Bearer ${canary}`, xApiKey: canary, path: `/mcp/${canary}`, query: `api_key=${canary}`, origin: canary };
    const context = contextOf(
      {
        ...call,
        refusal: errors.TOOL_DENIED,
        status: 403,
        tool: canary,
        resource: canary,
        method: 'tools/call',
        detail: canary,
        requestId: canary,
        sentMs: 1,
      },
      head,
    );
    events.authenticated({ ...context, principal: null });
    events.authenticated(context);
    events.sent(context);
    events.settled(context);
    events.stderrLine('fs', `API_KEY=CANARYCANARY ${canary}`);
    events.internalError('request', new Error(`bad ${canary}`, { cause: { headers: { authorization: 'CANARY' } } }));
    events.stateChanged({ name: 'fs', transport: 'http', state: 'down', detail: `https://u:CANARY@host refused ${canary}` } as Upstream);
    expect(text.join('')).not.toContain('CANARY');
    expect(await metrics.registry.metrics()).not.toContain('CANARY');
    // What the audit room writes of these records is its own test; here: nothing of the credential headers is copied.
    const copied: (keyof AuditRecord)[] = ['identity', 'client_ip', 'server', 'provider', 'reason'];
    expect(records.flatMap((record) => copied.map((name) => String(record[name]))).join()).not.toContain('CANARY');
  });
});
