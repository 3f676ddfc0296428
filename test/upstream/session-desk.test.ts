import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { SESSION_UNKNOWN } from '../../src/core/errors.ts';
import type { MeshAccess } from '../../src/core/messages.ts';
import type { Refusal } from '../../src/core/refusal.ts';
import type { ClientHello, SessionPlace, StreamMark, StreamSink, UpstreamSession } from '../../src/core/upstream-session.ts';
import { readHello } from '../../src/mcp/hello.ts';
import { Mesh } from '../../src/process/mesh.ts';
import { openPrivateFolder } from '../../src/process/private-socket.ts';
import type { ChannelSession } from '../../src/upstream/channel-session.ts';
import { ChannelSessions } from '../../src/upstream/channel-sessions.ts';
import { EventStore } from '../../src/upstream/event-store.ts';
import { LentSink } from '../../src/upstream/lent-sink.ts';
import { LentStream } from '../../src/upstream/lent-stream.ts';
import { RelayDesk } from '../../src/upstream/relay-desk.ts';
import { StdioConnector } from '../../src/upstream/stdio.ts';
import { call, deps, envelope, isRefusal, type Outcome, RecordedEvents, Sink, stdioSettings, until } from './support.ts';

const INITIALIZE = call('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } });
const HELLO = readHello(INITIALIZE) as ClientHello;
const OPTIONS = { restPath: '', principalKey: 'alice' };
const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface WorkerParts {
  readonly mesh: Mesh;
  readonly desk: RelayDesk;
  readonly sessions: ChannelSessions;
}

/** What a worker has of sessions, with the real way to the others. */
async function enter(access: MeshAccess, slot: number): Promise<WorkerParts> {
  const mesh = await Mesh.open(access, slot);
  const desk = new RelayDesk(mesh, systemClock);
  const settings = stdioSettings({});
  const kept = new EventStore({ maxMessages: 1000, maxBytes: 8_000_000, maxTotalBytes: 8_000_000 });
  const own = { ...deps(new RecordedEvents()), sessions: desk.sessions, kept };
  const sessions = new ChannelSessions(settings, new StdioConnector(settings.stdio, own), own);
  closers.push(async () => {
    await sessions.close();
    desk.sessions.remote.close();
    mesh.close();
  });
  desk.open();
  return { mesh, desk, sessions };
}

async function pair(): Promise<readonly [WorkerParts, WorkerParts]> {
  const folder = openPrivateFolder();
  closers.push(() => folder.remove());
  const access = { folder: folder.path, secret: randomBytes(32), slots: 2, maxFrameBytes: 32 * 1_048_576 };
  const both = [await enter(access, 0), await enter(access, 1)] as const;
  await until(() => both[0].desk.isUp(1) && both[1].desk.isUp(0), 'both know each other');
  return both;
}

async function begin({ sessions }: WorkerParts): Promise<ChannelSession & { readonly place: SessionPlace }> {
  const session = sessions.open(HELLO);
  const flight = session.request(INITIALIZE, OPTIONS, new Sink());
  if (isRefusal(flight)) throw new Error(flight.code);
  await until(() => session.place !== null, 'an agreement');
  return session as ChannelSession & { readonly place: SessionPlace };
}

/** A session of the first worker, as the second one has it. */
async function lent(): Promise<{ owner: WorkerParts; user: WorkerParts; session: ChannelSession; remote: UpstreamSession }> {
  const [owner, user] = await pair();
  const session = await begin(owner);
  const remote = user.sessions.resume(session.place);
  if (remote === null) throw new Error('not to be reached');
  return { owner, user, session, remote };
}

async function ask(session: UpstreamSession, method: string, params: object = {}, sink: Sink = new Sink()): Promise<Outcome> {
  const flight = session.request(call(method, params), OPTIONS, sink);
  if (isRefusal(flight)) return { reply: null, isError: false, refusal: flight, detail: 'refused' };
  return await sink.outcome;
}

/** A standing stream as a client reads it. */
class Heard implements StreamSink {
  readonly messages: string[] = [];
  readonly marks: StreamMark[] = [];
  isOpen = false;
  ended: { readonly refusal: Refusal | null } | null = null;

  onOpen(): void {
    this.isOpen = true;
  }

  onMessage(bytes: Buffer, _isResponse: boolean, mark?: StreamMark): boolean {
    this.messages.push(bytes.toString());
    if (mark !== undefined) this.marks.push(mark);
    return true;
  }

  onMark(mark: StreamMark): void {
    this.marks.push(mark);
  }

  onEnd(refusal: Refusal | null): void {
    this.ended = { refusal };
  }
}

describe('a session that another worker holds', () => {
  it('answers as if it were here, and keeps apart what it is asked', async () => {
    const { remote } = await lent();
    const outcomes = await Promise.all([1, 2, 3].map((n) => ask(remote, 'sleep', { ms: 50 - n * 10, value: n })));
    expect(outcomes.map(({ reply }) => reply)).toEqual([1, 2, 3].map((result) => ({ jsonrpc: '2.0', id: 1, result })));
  });

  it('is not there for places that name no worker, or were not made here', async () => {
    const [owner, user] = await pair();
    const { place } = await begin(owner);
    const { bytes } = place;
    const beyond = Buffer.from(bytes);
    beyond.writeUInt32BE(2);
    for (const other of [beyond, bytes.subarray(1), Buffer.concat([bytes, Buffer.alloc(1)]), Buffer.alloc(0)]) {
      expect(user.sessions.resume({ ...place, bytes: other })).toBeNull();
      expect(owner.sessions.resume({ ...place, bytes: other })).toBeNull();
    }
    const another = Buffer.from(bytes);
    another[15] = (another[15] ?? 0) ^ 1;
    const outcome = await ask(user.sessions.resume({ ...place, bytes: another }) as UpstreamSession, 'echo');
    expect(outcome.refusal).toBe(SESSION_UNKNOWN);
  });

  it('begins nothing there: an initialize with the name of a session makes no child', async () => {
    const { remote, owner } = await lent();
    const before = owner.sessions.pids.length;
    const outcome = await ask(remote, 'initialize', { protocolVersion: '2025-11-25' });
    expect([outcome.reply?.result !== undefined, owner.sessions.pids.length]).toEqual([true, before]);
  });

  it('is asked by its server, and its answer comes back', async () => {
    const { remote } = await lent();
    const sink = new Sink();
    const outcome = ask(remote, 'ask', { methods: ['roots/list'] }, sink);
    await until(() => sink.messages.length === 1, 'a question');
    expect(remote.respond(envelope({ jsonrpc: '2.0', id: 'ask-roots/list', result: { roots: [] } }), OPTIONS)).toBeNull();
    expect((await outcome).reply?.result).toEqual([{ jsonrpc: '2.0', id: 'ask-roots/list', result: { roots: [] } }]);
  });

  it('has streams that stand, hear, and leave room when they are left', async () => {
    const { remote, session } = await lent();
    const heard = new Heard();
    const listening = remote.listen('', OPTIONS, heard);
    if ('code' in listening) throw new Error(listening.code);
    await until(() => heard.isOpen, 'the stream stands');
    await ask(remote, 'announce', { kinds: ['tools', 'prompts'] });
    await until(() => heard.messages.length === 2, 'both arrive');
    listening.leave();
    await until(() => session.isIdle, 'nobody listens');
    expect(heard.ended).toBeNull();
  });

  it('refuses more streams than one client needs', async () => {
    const { remote } = await lent();
    const streams = Array.from({ length: 5 }, () => new Heard());
    for (const stream of streams) expect('leave' in remote.listen('', OPTIONS, stream)).toBe(true);
    await until(() => streams[4]?.ended !== null, 'the last one is refused');
    expect(streams.map(({ ended }) => ended?.refusal?.code ?? null)).toEqual([null, null, null, null, 'UPSTREAM_BUSY']);
  });

  it('ends for all when one says so, and the one who says it is told when it is done', async () => {
    const { remote, session, owner } = await lent();
    const heard = new Heard();
    remote.listen('', OPTIONS, heard);
    await until(() => heard.isOpen, 'the stream stands');
    await new Promise<void>((resolve) => remote.close(resolve));
    expect(owner.sessions.resume(session.place as SessionPlace)).toBeNull();
    await until(() => heard.ended !== null, 'the stream ends');
    expect((await ask(remote, 'echo')).refusal).toBe(SESSION_UNKNOWN);
    await new Promise<void>((resolve) => remote.close(resolve));
  });

  it('tells who ends it when it is done also when its worker has just heard of the end', async () => {
    const { remote, session } = await lent();
    const { pid } = session;
    expect(pid).toBeGreaterThan(0);
    session.close();
    await new Promise<void>((resolve) => remote.close(resolve));
    expect(() => process.kill(pid as number, 0)).toThrow('ESRCH');
  });

  it('is unknown when its worker is gone, and what was under way fails', async () => {
    const { remote, owner, user } = await lent();
    const heard = new Heard();
    remote.listen('', OPTIONS, heard);
    const waiting = ask(remote, 'hang');
    await until(() => heard.isOpen, 'the stream stands');
    owner.mesh.close();
    expect((await waiting).refusal?.code).toBe('UPSTREAM_FAILED');
    expect(heard.ended).toEqual({ refusal: null });
    await until(() => user.mesh.isGone(0), 'it is known to be gone');
    expect((await ask(remote, 'echo')).refusal).toBe(SESSION_UNKNOWN);
    await new Promise<void>((resolve) => remote.close(resolve));
  });

  it('waits for nobody when the worker of its client is gone', async () => {
    const { remote, session, user } = await lent();
    const heard = new Heard();
    remote.listen('', OPTIONS, heard);
    void ask(remote, 'sleep', { ms: 100, value: 1 });
    await until(() => heard.isOpen && session.inFlight === 1, 'both are there');
    user.mesh.close();
    await until(() => session.isIdle, 'nobody listens, nothing is under way');
    expect((await ask(session, 'echo', { x: 1 })).reply?.result).toEqual({ x: 1 });
  });
});

/** Who asks, and notes the positions. */
class Asker extends Sink {
  readonly ids: string[] = [];
  suspended = 0;

  onMark({ eventId }: StreamMark): void {
    this.ids.push(eventId);
  }

  onSuspended(): void {
    this.suspended += 1;
  }
}

describe('the streams of a session that another worker holds', () => {
  it('are resumed by a client that left at one worker and comes back at another', async () => {
    const { remote, session } = await lent();
    const asker = new Asker();
    const flight = remote.request(call('sleep', { ms: 200, value: 'slept' }), OPTIONS, asker);
    if (isRefusal(flight)) throw new Error(flight.code);
    await until(() => asker.ids.length === 1, 'a position');
    flight.gone?.();
    const [back, again] = [new Heard(), new Heard()];
    session.listen(asker.ids[0] ?? '', OPTIONS, back);
    await until(() => back.ended !== null, 'the answer where it is held');
    remote.listen(asker.ids[0] ?? '', OPTIONS, again);
    await until(() => again.ended !== null, 'the answer elsewhere');
    expect([again.messages, again.marks]).toEqual([back.messages, back.marks]);
    expect(again.messages).toEqual(['{"jsonrpc":"2.0","id":1,"result":"slept"}']);
    // Who had asked hears that it is over, and nothing else.
    await until(() => asker.suspended === 1, 'the end for who asked');
    expect(asker.outcomes).toBe(0);
  });

  it('are unknown there as here behind what was not given out', async () => {
    const { remote } = await lent();
    const heard = new Heard();
    remote.listen('r99.0', OPTIONS, heard);
    await until(() => heard.ended !== null, 'an end');
    expect(heard.ended?.refusal?.code).toBe('EVENT_UNKNOWN');
  });

  it('come back whole, however much they are, to a worker that reads, and one that does not is waited for', async () => {
    const { remote, owner, user } = await lent();
    const asker = new Asker();
    const text = 'x'.repeat(50_000);
    const outcomes = Array.from({ length: 100 }, async (_, n) => await ask(remote, 'echo', { n, text }, n === 0 ? asker : new Sink()));
    await Promise.all(outcomes);
    const heard = new Heard();
    remote.listen('r1.0', OPTIONS, heard);
    await until(() => heard.ended !== null, 'the whole answer');
    expect(heard.messages[0]).toContain(text);
    let arrived = 0;
    user.desk.fromOwner = (_slot, message) => void (arrived += message.type === 'session' && 'bytes' in message ? message.bytes.length : 0);
    const stream = new LentStream(new LentSink(owner.mesh, 1, 999, () => undefined));
    const piece = Buffer.alloc(10_000, 32);
    let sent = 1;
    while (stream.onMessage(piece, false)) sent += 1;
    await until(() => arrived === sent * piece.length, 'all that was sent');
    expect(arrived).toBeLessThan(300_000);
    stream.resume();
    expect(stream.onMessage(piece, false)).toBe(true);
  });
});

describe('what a server says to a client of another worker that does not read', () => {
  it('is dropped, but for questions, and those as far as 1 MiB', async () => {
    const [owner, user] = await pair();
    const sizes: number[] = [];
    user.desk.fromOwner = (_slot, message) =>
      void sizes.push(message.type === 'session' && message.what === 'message' ? message.bytes.length : -1);
    const sink = new LentSink(owner.mesh, 1, 1, () => undefined);
    const news = Buffer.from('{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}');
    const question = Buffer.from(`{"jsonrpc":"2.0","id":1,"method":"roots/list","params":{"x":"${'x'.repeat(100_000)}"}}`);
    expect(sink.onMessage(news)).toBe(true);
    sink.pause();
    for (let n = 0; n < 100; n++) expect([sink.onMessage(news), sink.onMessage(question)]).toEqual([false, false]);
    sink.resume();
    expect(sink.onMessage(news)).toBe(true);
    sink.onCancelled();
    await until(() => sizes.at(-1) === -1, 'all has arrived');
    expect(sizes.filter((size) => size === news.length)).toHaveLength(2);
    expect(sizes.filter((size) => size === question.length)).toHaveLength(10);
    expect(sizes).toHaveLength(13);
  });
});
