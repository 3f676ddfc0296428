import { describe, expect, it } from 'vitest';
import { REQUEST_TIMEOUT } from '../../src/core/errors.ts';
import { RequestBody } from '../../src/listener/request-body.ts';

function build(
  declaredBytes: number,
  maxBytes = 1_000_000,
): { body: RequestBody; calls: string[]; got: (string | null)[]; flush: () => void } {
  const calls: string[] = [];
  const got: (string | null)[] = [];
  const host = {
    pauseBody: () => void calls.push('pause'),
    resumeBody: () => void calls.push('resume'),
    deferDelivery: () => void calls.push('defer'),
  };
  const body = new RequestBody(host, declaredBytes, maxBytes);
  return { body, calls, got, flush: () => body.deliver() };
}

describe('the request body', () => {
  it('is handed over when its last piece arrives', () => {
    const { body, got, calls } = build(4);
    body.request(10, (bytes, lost) => got.push(lost?.code ?? String(bytes)));
    body.feed(Buffer.from('ab'), false);
    expect(got).toEqual([]);
    body.feed(Buffer.from('cd'), true);
    expect(got).toEqual(['abcd']);
    expect(calls).toEqual([]);
  });

  it('is never handed over inside the request for it', () => {
    const { body, got, calls, flush } = build(0);
    body.request(10, (bytes) => got.push(String(bytes)));
    expect(got).toEqual([]);
    expect(calls).toEqual(['defer']);
    flush();
    flush();
    expect(got).toEqual(['']);
  });

  it('stops reading ahead until it is asked for', () => {
    const { body, got, calls } = build(200_000);
    body.feed(Buffer.alloc(60_000), false);
    expect(calls).toEqual([]);
    body.feed(Buffer.alloc(60_000), false);
    body.feed(Buffer.alloc(10_000), false);
    expect(calls).toEqual(['pause']);
    body.request(200_000, (bytes) => got.push(String(bytes?.length)));
    expect(calls).toEqual(['pause', 'resume']);
    body.feed(Buffer.alloc(70_000), true);
    expect(got).toEqual(['200000']);
  });

  it('is refused at once when it is declared larger than asked for, and as soon as it grows larger', () => {
    const declared = build(11);
    declared.body.request(10, (_bytes, lost) => declared.got.push(lost?.code ?? null));
    declared.flush();
    expect(declared.got).toEqual(['BODY_TOO_LARGE']);
    const growing = build(-1);
    growing.body.request(10, (_bytes, lost) => growing.got.push(lost?.code ?? null));
    growing.body.feed(Buffer.alloc(11), false);
    growing.body.feed(Buffer.alloc(11), true);
    expect(growing.got).toEqual(['BODY_TOO_LARGE']);
  });

  it('is lost once, whether it was asked for before or after', () => {
    const before = build(5);
    before.body.request(10, (_bytes, lost) => before.got.push(lost?.code ?? null));
    before.body.lose();
    before.body.lose();
    expect(before.got).toEqual([REQUEST_TIMEOUT.code]);
    const after = build(5);
    after.body.lose();
    after.body.request(10, (_bytes, lost) => after.got.push(lost?.code ?? null));
    after.flush();
    expect(after.got).toEqual([REQUEST_TIMEOUT.code]);
  });

  it('counts what arrives when nobody wants it', () => {
    const { body } = build(100);
    body.discard();
    body.feed(Buffer.alloc(60), false);
    body.feed(Buffer.alloc(40), true);
    expect(body.discardedBytes).toBe(100);
    expect(body.isComplete).toBe(true);
  });

  it('is asked for once', () => {
    const { body } = build(0);
    body.request(1, () => undefined);
    expect(() => body.request(1, () => undefined)).toThrow('twice');
  });
});
