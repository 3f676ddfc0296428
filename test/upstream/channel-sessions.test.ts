import { afterEach, describe, expect, it } from 'vitest';
import { UPSTREAM_BUSY } from '../../src/core/errors.ts';
import type { ClientHello } from '../../src/core/upstream-session.ts';
import { readHello } from '../../src/mcp/hello.ts';
import type { ChannelSession } from '../../src/upstream/channel-session.ts';
import { ChannelSessions, type ChannelSessionLimits } from '../../src/upstream/channel-sessions.ts';
import { StdioConnector } from '../../src/upstream/stdio.ts';
import { FakeClock } from './fake-clock.ts';
import { call, deps, isRefusal, RecordedEvents, Sink, stdioSettings, until } from './support.ts';

const LIMITS: ChannelSessionLimits = { maxSessions: 3, maxPerPrincipal: 2, idleMs: 100_000, yieldMs: 60_000 };
const INITIALIZE = call('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } });
const HELLO = readHello(INITIALIZE) as ClientHello;
const open: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

interface Place {
  readonly sessions: ChannelSessions;
  readonly clock: FakeClock;
  /** Begins a session; its place as the pipeline would seal it. */
  begin(principalKey: string): Promise<ChannelSession>;
  isKept(session: ChannelSession): boolean;
}

function place(): Place {
  const clock = new FakeClock();
  const settings = stdioSettings({});
  // Real processes live in real time; only who is idle is told by the clock of the test.
  const connector = new StdioConnector(settings.stdio, deps());
  const sessions = new ChannelSessions(settings, connector, { ...deps(new RecordedEvents(), clock), stopGraceMs: 900 }, LIMITS);
  open.push(async () => await sessions.close());
  const begin = async (principalKey: string): Promise<ChannelSession> => {
    const session = sessions.open(HELLO);
    const sink = new Sink();
    const flight = session.request(INITIALIZE, { restPath: '', principalKey }, sink);
    if (isRefusal(flight)) throw new Error(flight.code);
    await until(() => session.place !== null, 'an agreement');
    return session;
  };
  const isKept = (session: ChannelSession): boolean => session.place !== null && sessions.resume(session.place) === session;
  return { sessions, clock, begin, isKept };
}

/** Begins one for which another has to end: it is pressed for after a while. */
async function pressed(clock: FakeClock, begins: Promise<ChannelSession>): Promise<ChannelSession> {
  await new Promise((resolve) => void setImmediate(resolve));
  clock.advance(250);
  return await begins;
}

describe('sessions with channels of their own', () => {
  it('are found by their place, and end when their client says so', async () => {
    const { sessions, begin, isKept } = place();
    const session = await begin('alice');
    expect([isKept(session), sessions.resume({ kind: 'http', revision: '2025-11-25', bytes: session.placeBytes })]).toEqual([true, null]);
    session.close();
    expect([isKept(session), sessions.inFlight]).toEqual([false, 0]);
  });

  it('are so many for each caller: the one longest unused gives way, and nobody else loses one', async () => {
    const { clock, begin, isKept } = place();
    const other = await begin('bob');
    clock.advance(1000);
    const first = await begin('alice');
    clock.advance(1000);
    const second = await begin('alice');
    const third = await pressed(clock, begin('alice'));
    expect([other, first, second, third].map(isKept)).toEqual([true, false, true, true]);
  });

  it('are refused when all places are taken by others who used them of late, and not for ever', async () => {
    const { sessions, clock, begin, isKept } = place();
    const taken = [await begin('alice'), await begin('alice'), await begin('bob')];
    const refused = new Sink();
    const { timers } = clock;
    sessions.open(HELLO).request(INITIALIZE, { restPath: '', principalKey: 'carol' }, refused);
    await until(() => clock.timers >= timers + 3, 'it waits for one to end');
    clock.advance(2000);
    expect([(await refused.outcome).refusal, taken.map(isKept)]).toEqual([UPSTREAM_BUSY, [true, true, true]]);
    clock.advance(LIMITS.yieldMs);
    const late = await pressed(clock, begin('carol'));
    expect([isKept(late), taken.filter(isKept).length]).toEqual([true, 2]);
  });

  it('end when nobody uses them', async () => {
    const { clock, begin, isKept } = place();
    const session = await begin('alice');
    clock.advance(LIMITS.idleMs / 2);
    session.notify(call('notifications/roots/list_changed'), { restPath: '', principalKey: 'alice' });
    clock.advance(LIMITS.idleMs / 2 + 20_000);
    expect(isKept(session)).toBe(true);
    clock.advance(LIMITS.idleMs);
    expect(isKept(session)).toBe(false);
  });
});
