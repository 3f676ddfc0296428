import { describe, expect, it } from 'vitest';
import { INTERNAL } from '../../src/core/errors.ts';
import type { FieldText } from '../../src/core/field-text.ts';
import { answerHead, answerLines, firstName, hasBody, minimalBody, statusLine } from '../../src/listener/answer-head.ts';

function value(headers: readonly string[], name: string): string[] {
  return headers.filter((_part, i) => i % 2 === 1 && headers[i - 1] === name);
}

function pairs(text: string): string[] {
  return text.split('\r\n').flatMap((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]);
}

describe('the head of an answer', () => {
  it('carries the security headers, HSTS under TLS only', () => {
    const plain = answerHead(200, ['x-a', 'b'], false);
    expect(value(plain, 'x-a')).toEqual(['b']);
    expect(value(plain, 'x-content-type-options')).toEqual(['nosniff']);
    expect(value(plain, 'content-security-policy')).toEqual(["default-src 'none'; frame-ancestors 'none'"]);
    expect(value(plain, 'strict-transport-security')).toEqual([]);
    expect(value(answerHead(200, [], true), 'strict-transport-security')).toEqual(['max-age=31536000']);
  });

  it('lets a page bring its own content security policy, once', () => {
    expect(value(answerHead(200, ['content-security-policy', "default-src 'self'"], false), 'content-security-policy')).toEqual([
      "default-src 'self'",
    ]);
  });

  it('looks at each value, also at a place where a good one was', () => {
    for (const bad of ['a\r\nb: c', 'a\0', 'Ā']) {
      expect(() => answerLines(200, ['x', 'good', 'y', 'good'])).not.toThrow();
      expect(() => answerLines(200, ['x', 'good', 'y', bad])).toThrow('Malformed answer header');
      expect(() => answerLines(200, ['x', 'good', 'y', bad])).toThrow('Malformed answer header');
      expect(() => answerLines(200, ['x', bad, 'y', 'good'])).toThrow('Malformed answer header');
    }
  });

  it.each([
    [['x', 'a\r\nb: c']],
    [['x', 'a\nb']],
    [['x', 'a\0']],
    [['x', 'Ā']],
    [['X', 'a']],
    [['', 'a']],
    [['a b', 'c']],
    [['a:', 'c']],
    [['a\r\nb', 'c']],
    [['content-length', '5']],
    [['connection', 'close']],
    [['transfer-encoding', 'chunked']],
    [['odd']],
    [['x', 'y'.repeat(9000)]],
  ])('refuses to be %j', (headers) => {
    expect(() => answerHead(200, headers, false)).toThrow(/^(?:Malformed a|A)nswer head/);
    expect(() => answerLines(200, headers)).toThrow(/^(?:Malformed a|A)nswer head/);
  });

  it.each([
    [[]],
    [['x-a', 'b']],
    [['x-a', '', 'x-b', 'c: d']],
    [['content-security-policy', "default-src 'self'"]],
    [['x-a', 'b', 'content-security-policy', "default-src 'self'", 'x-a', 'c']],
  ])('is the same as one text: %j', (headers) => {
    const head = answerHead(200, headers, false);
    const lines = Array.from({ length: head.length / 2 }, (_, i) => `${head[2 * i]}: ${head[2 * i + 1]}`);
    const text = `${firstName(headers)}: ${answerLines(200, headers)}`;
    // Only the order may differ, and only where the application has a policy of its own.
    expect(text.split('\r\n').toSorted()).toEqual(lines.toSorted());
    expect(text.startsWith(lines[0] ?? '')).toBe(true);
  });

  it.each([[[]], [['x-a', 'b']]])('has further fields, as they are: %j', (headers) => {
    const fields = '\r\nx-one: 1\r\nx-two: a: b' as FieldText;
    for (const head of [answerHead(200, headers, false, fields), pairs(`${firstName(headers)}: ${answerLines(200, headers, fields)}`)]) {
      expect([value(head, 'x-one'), value(head, 'x-two'), value(head, 'x-frame-options')]).toEqual([['1'], ['a: b'], ['DENY']]);
      expect(head).toHaveLength(answerHead(200, headers, false).length + 4);
    }
  });

  it('counts further fields towards its 8 KiB', () => {
    const fields = `\r\nx-long: ${'y'.repeat(4_096)}` as FieldText;
    expect(() => answerLines(200, ['x', 'y'.repeat(4_096)], fields)).toThrow(/^Answer head of \d+ bytes/);
    expect(() => answerHead(200, ['x', 'y'.repeat(4_096)], true, fields)).toThrow(/^Answer head of \d+ bytes/);
  });

  it.each([100, 199, 600, 200.5, Number.NaN])('refuses the status %d', (status) => {
    expect(() => answerHead(status, [], false)).toThrow('status');
    expect(() => answerLines(status, [])).toThrow('status');
  });

  it('knows status lines and which answers have a body', () => {
    expect(statusLine(404)).toBe('404 Not Found');
    expect(statusLine(499)).toBe('499 Unknown');
    expect([200, 202, 204, 304, 500].map(hasBody)).toEqual([true, true, false, false, true]);
  });

  it('has a body of last resort with a fresh error id', () => {
    const body = JSON.parse(minimalBody(INTERNAL)) as { error: { code: number; data: { error_id: string } } };
    expect(body).toMatchObject({ jsonrpc: '2.0', id: null, error: { code: -32603, message: 'Internal error' } });
    expect(body.error.data.error_id).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
    expect(minimalBody(INTERNAL)).not.toBe(minimalBody(INTERNAL));
  });
});
