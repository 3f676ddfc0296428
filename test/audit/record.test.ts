import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_FIELD_CHARS } from '../../src/audit/field.ts';
import { buildRecordLine } from '../../src/audit/record.ts';
import { compileRedaction } from '../../src/audit/redact.ts';
import type { AuditRecord } from '../../src/core/audit.ts';
import { emptyNotes } from '../../src/core/principal.ts';

const line = buildRecordLine(compileRedaction([]));
const stamp = { wallMs: Date.UTC(2026, 10, 20, 10, 15, 1, 7), seq: 3, worker: 2 };

function parsed(record: AuditRecord): Record<string, unknown> {
  return JSON.parse(line(record, stamp)) as Record<string, unknown>;
}

const FULL: AuditRecord = {
  event_type: 'tool_response',
  request_id: 'req-1',
  identity: 'alice',
  provider: 'api_key',
  client_ip: '2001:db8::1',
  server: 'fs',
  method: 'tools/call',
  tool: 'read_file',
  resource: 'file:///a',
  decision: 'allow',
  reason: 'none',
  detail: 'allowed_tools "read_*"',
  status: 200,
  duration_ms: 1.23456,
  error_id: '7b1c8d6e-0f4a-4a53-9a70-4f2f8d1f9f10',
  policy_version: '0123456789abcdef',
};

describe('buildRecordLine', () => {
  it('row 197: writes one line that parses, with the time in UTC, and the fields always in the same order', () => {
    const text = line(FULL, stamp);
    expect(text.indexOf('\n')).toBe(text.length - 1);
    const record = JSON.parse(text) as Record<string, unknown>;
    expect(record).toEqual({ ...FULL, duration_ms: 1.23, timestamp: '2026-11-20T10:15:01.007Z', seq: 3, worker: 2 });
    expect(Object.keys(record)).toEqual([
      'timestamp', 'event_type', 'seq', 'worker', 'request_id', 'identity', 'provider', 'client_ip', 'server', 'method', 'tool',
      'resource', 'decision', 'reason', 'detail', 'status', 'duration_ms', 'error_id', 'policy_version',
    ]); // biome-ignore format: one list
  });

  it('leaves out what is not known', () => {
    expect(Object.keys(parsed({ event_type: 'request' }))).toEqual(['timestamp', 'event_type', 'seq', 'worker']);
  });

  it('row 202: keeps newlines, ANSI sequences, C1 controls and bidi controls of a tool name escaped in one line', () => {
    const tool = 'a\r\n{"event_type":"tool_call"}\u001b[2J\u009b31m\u2028\u202e\u0000\u007f\ufeff';
    const text = line({ event_type: 'tool_call', tool }, stamp);
    expect(text).toMatch(/^[\x20-\x7e]+\n$/);
    expect((JSON.parse(text) as { tool: string }).tool).toBe(tool);
  });

  it('row 202: cuts a 10 kB multibyte name without splitting a character', () => {
    for (const character of ['é', '漢', '😀']) {
      const text = line({ event_type: 'tool_call', tool: `x${character.repeat(10_000)}` }, stamp);
      const { tool } = JSON.parse(text) as { tool: string };
      expect(tool.endsWith('…')).toBe(true);
      expect(tool.length).toBeLessThanOrEqual(MAX_FIELD_CHARS + 1);
      expect(tool.isWellFormed()).toBe(true);
    }
  });

  it('escapes lone surrogates, so that the line is valid UTF-8', () => {
    const text = line({ event_type: 'tool_call', tool: 'a\ud800b\udc00' }, stamp);
    expect(text).toContain('"a\\ud800b\\udc00"');
    expect(Buffer.from(text).toString()).toBe(text);
  });

  it('never leaks a credential that begins inside and ends outside of what is looked at', () => {
    const key = `mcp_${'K'.repeat(43)}`;
    for (let padding = 900; padding < 4200; padding += 7) {
      const { tool } = parsed({ event_type: 'tool_call', tool: `${' '.repeat(padding)}${key} ${'z'.repeat(5000)}` });
      expect(tool).not.toContain('KKKK');
    }
  });

  it('never leaks the rest of a credential when earlier ones shrink the text', () => {
    const key = `mcp_${'K'.repeat(43)}`;
    for (let padding = 0; padding < 60; padding++) {
      const { tool } = parsed({ event_type: 'tool_call', tool: `${'p'.repeat(padding)} ${`${key} `.repeat(200)}` });
      expect(tool).not.toContain('KK');
    }
  });

  it('row 204: redacts a request id that carries a credential, and leaves its own ids alone', () => {
    expect(parsed({ event_type: 'request', request_id: `mcp_${'a'.repeat(43)}` })['request_id']).toBe('[redacted]');
    const digits = buildRecordLine(compileRedaction([{ name: 'digits', pattern: '\\d', replacement: '#' }]));
    expect(digits({ event_type: 'request', error_id: '7b1c8d6e-0f4a-4a53-9a70-4f2f8d1f9f10' }, stamp)).toContain('7b1c8d6e');
    expect(digits({ event_type: 'request', request_id: 'a1' }, stamp)).toContain('"a#"');
  });

  it('row 204: takes nothing for an id of its own that is not one', () => {
    const own = '7b1c8d6e-0f4a-4a53-9a70-4f2f8d1f9f10';
    const marked = buildRecordLine((text) => `seen ${text}`);
    expect(marked({ event_type: 'request', request_id: own }, stamp)).toContain(`"${own}"`);
    for (let at = 0; at < own.length; at++) {
      for (const unit of ['g', 'A', '/', ':', '`', '-', '0', '\ud800']) {
        const id = own.slice(0, at) + unit + own.slice(at + 1);
        const isDash = own[at] === '-';
        if (isDash ? unit === '-' : unit === '0') continue;
        const { request_id: written } = JSON.parse(marked({ event_type: 'request', request_id: id }, stamp)) as { request_id: string };
        expect(written).toBe(`seen ${id}`);
      }
    }
    for (const id of [own.slice(1), `${own}0`, ''])
      expect(marked({ event_type: 'request', request_id: id }, stamp)).toContain(`"seen ${id}"`);
  });

  it('writes moments as ISO 8601 has them, one after the other', () => {
    const moments = fc.oneof(
      fc.integer({ min: 0, max: 4_102_444_800_000 }),
      fc.integer({ min: 1_795_000_000_000, max: 1_795_000_003_000 }),
    );
    fc.assert(
      fc.property(fc.array(moments, { maxLength: 20 }), (values) => {
        const write = buildRecordLine(compileRedaction([]));
        for (const wallMs of values) {
          const text = write({ event_type: 'request' }, { wallMs, seq: 1, worker: 0 });
          expect((JSON.parse(text) as { timestamp: string }).timestamp).toBe(new Date(wallMs).toISOString());
        }
      }),
    );
  });

  it('writes numbers that JSON has no word for as 0', () => {
    expect(parsed({ event_type: 'request', status: Number.NaN, duration_ms: Number.POSITIVE_INFINITY })).toMatchObject({
      status: 0,
      duration_ms: 0,
    });
  });

  it('writes times to the hundredth, one after the other', () => {
    const times = fc.oneof(
      fc.double({ min: 0, max: 2, noNaN: true }),
      fc.double({ min: 84_000_000, max: 84_000_001, noNaN: true }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
    );
    fc.assert(
      fc.property(fc.array(times, { maxLength: 20 }), (values) => {
        for (const value of [...values, 0, 0.004, 0.996, 999.995, 2 ** 40, 2 ** 40 + 0.5, -1.5]) {
          // The text of −0 is 0.
          const expected = (Math.abs(value) <= 2 ** 40 ? Math.round(value * 100) / 100 : value) + 0;
          const { duration_ms, decided_ms } = parsed({ event_type: 'request', duration_ms: value, decided_ms: value });
          expect([duration_ms, decided_ms]).toEqual([expected, expected]);
        }
      }),
    );
  });

  it('gives back every string it was given, whatever it holds', () => {
    const plain = buildRecordLine((text) => text);
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (tool) => {
        const text = plain({ event_type: 'tool_call', tool }, stamp);
        expect(text.indexOf('\n')).toBe(text.length - 1);
        expect((JSON.parse(text) as { tool: string }).tool).toBe(tool);
      }),
      { numRuns: 500 },
    );
  });

  it('does not confuse values although it remembers them', () => {
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 3000; i++) expect(line({ event_type: 'tool_call', tool: `t${i}` }, stamp)).toContain(`"tool":"t${i}"`);
    }
  });
});

describe('the member of an identity that is kept with its principal', () => {
  it('is the same, and each writer makes its own', () => {
    const notes = emptyNotes();
    const id = 'k-\u202e"sk-secret-1234';
    const record: AuditRecord = { event_type: 'request', identity: id };
    const hiding = buildRecordLine((text) => text.replace('sk-secret-1234', '[REDACTED]'));
    const plain = line(record, stamp);
    const hidden = hiding(record, stamp);
    expect(hidden).not.toContain('secret');
    for (const [write, expected] of [
      [line, plain],
      [line, plain],
      [hiding, hidden],
      [hiding, hidden],
      [line, plain],
    ] as const)
      expect(write({ ...record, notes }, stamp)).toBe(expected);
  });
});
