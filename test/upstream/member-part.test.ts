import { expect, it, vi } from 'vitest';
import { isRefusal } from '../../src/core/refusal.ts';
import type { ReplySink, Upstream } from '../../src/core/upstream.ts';
import type { UpstreamSession } from '../../src/core/upstream-session.ts';
import { MemberPart, type PartHost } from '../../src/upstream/member-part.ts';

it('ends the session of a member that opened it, but never takes notifications/initialized', () => {
  let late = (): void => undefined;
  let answer: ReplySink | null = null;
  const close = vi.fn<() => void>();
  const session = { agreement: { info: null }, place: { kind: 'http' }, notify: () => null, close } as unknown as UpstreamSession;
  const upstream = {
    name: 'one',
    state: 'ready',
    newSession: () => session,
    request: (_message: unknown, _options: unknown, sink: ReplySink) => {
      answer = sink;
      return { detach: () => undefined, resume: () => undefined };
    },
  } as unknown as Upstream;
  const host = {
    clock: {
      nowMs: () => 0,
      after: (ms: number, then: () => void) => {
        if (ms === 77) late = then;
        return { cancel: () => undefined };
      },
    },
    hello: {},
    principalKey: 'p',
    openMs: 77,
    isInitialized: true,
    hasBegun: true,
    isHeard: false,
  } as unknown as PartHost;
  const part = new MemberPart({ upstream, prefix: '' }, host);
  const ready = vi.fn<() => void>();
  part.whenReady(ready);
  (answer as ReplySink | null)?.onReply(Buffer.from('{"jsonrpc":"2.0","id":"open","result":{}}'), false, 0);
  expect(ready).not.toHaveBeenCalled();
  late();
  expect(ready).toHaveBeenCalledOnce();
  expect(isRefusal(part.refusal)).toBe(true);
  expect(close).toHaveBeenCalledOnce();
});
