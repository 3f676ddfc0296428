import { describe, expect, it } from 'vitest';
import { EVENT_UNKNOWN, UPSTREAM_BUSY, UPSTREAM_TIMEOUT } from '../../src/core/errors.ts';
import type { Refusal } from '../../src/core/refusal.ts';
import type { Listening, StreamMark, StreamSink } from '../../src/core/upstream-session.ts';
import { EventStore } from '../../src/upstream/event-store.ts';
import { KeptReply } from '../../src/upstream/kept-reply.ts';
import { KeptStreams } from '../../src/upstream/kept-streams.ts';
import { Sink } from './support.ts';

const KEPT = { maxMessages: 100, maxBytes: 100_000, maxTotalBytes: 100_000 };

/** A client at a stream. */
class Reader implements StreamSink {
  readonly said: string[] = [];
  readonly ids: string[] = [];
  end: Refusal | null | undefined = undefined;
  /** After this many messages it does not keep up. */
  patience = Number.POSITIVE_INFINITY;
  listening: Listening | Refusal | null = null;

  onOpen(): void {
    this.said.push('open');
  }

  onMessage(bytes: Buffer, _isResponse: boolean, mark?: StreamMark): boolean {
    this.said.push(bytes.toString());
    if (mark !== undefined) this.ids.push(mark.eventId);
    this.patience -= 1;
    return this.patience > 0;
  }

  onMark({ eventId }: StreamMark): void {
    this.said.push('start');
    this.ids.push(eventId);
  }

  onEnd(refusal: Refusal | null): void {
    this.end = refusal;
  }

  resume(patience: number): void {
    this.patience = patience;
    if (this.listening !== null && 'resume' in this.listening) this.listening.resume();
  }

  leave(): void {
    if (this.listening !== null && 'leave' in this.listening) this.listening.leave();
  }
}

/** The client that asks, who notes its positions. */
class Asker extends Sink {
  readonly marks: string[] = [];
  suspended = 0;

  onMark({ eventId }: StreamMark): void {
    this.marks.push(eventId);
  }

  override onMessage(bytes: Buffer, mark?: StreamMark): boolean {
    if (mark !== undefined) this.marks.push(mark.eventId);
    return super.onMessage(bytes);
  }

  onSuspended(): void {
    this.suspended += 1;
  }
}

const json = (n: number): Buffer => Buffer.from(JSON.stringify({ n }));

function place(limits: Partial<typeof KEPT> = {}, isPrimed = true): { streams: KeptStreams; store: EventStore } {
  const store = new EventStore({ ...KEPT, ...limits });
  return { store, streams: new KeptStreams({ memory: store.memoryFor('alice'), isPrimed }) };
}

async function listen(streams: KeptStreams, lastEventId = '', reader = new Reader()): Promise<Reader> {
  reader.listening = streams.listen(lastEventId, reader);
  // Streams open a moment later.
  await Promise.resolve();
  return reader;
}

describe('the stream of an answer', () => {
  it('goes on behind any of its events, with what is its own and nothing else', async () => {
    const { streams } = place();
    const [asker, other] = [new Asker(), new Asker()];
    const [reply, foreign] = [new KeptReply(streams.beginReply(), asker), new KeptReply(streams.beginReply(), other)];
    reply.onStream();
    foreign.onStream();
    reply.onMessage(json(1));
    foreign.onMessage(json(91));
    reply.gone();
    reply.onMessage(json(2));
    foreign.onMessage(json(92));
    reply.onReply(json(3), false, 0);
    expect(asker.messages).toEqual([{ n: 1 }]);
    const [start = '', first = ''] = asker.marks;
    const [whole, rest] = [await listen(streams, start), await listen(streams, first)];
    expect(whole.said).toEqual(['open', 'start', '{"n":1}', '{"n":2}', '{"n":3}']);
    expect([rest.said, rest.end]).toEqual([['open', '{"n":2}', '{"n":3}'], null]);
    expect(new Set([...asker.marks, ...other.marks, ...rest.ids]).size).toBe(7);
  });

  it('is gone on with live by a client that is back before the end, and only there', async () => {
    const { streams } = place();
    const asker = new Asker();
    const reply = new KeptReply(streams.beginReply(), asker);
    reply.onStream();
    reply.gone();
    reply.onMessage(json(1));
    const back = await listen(streams, asker.marks[0]);
    reply.onMessage(json(2));
    reply.onReply(json(3), false, 0);
    expect([back.said, back.end]).toEqual([['open', 'start', '{"n":1}', '{"n":2}', '{"n":3}'], null]);
    expect([asker.messages, asker.outcomes, asker.suspended]).toEqual([[], 0, 1]);
  });

  it('is taken over from a connection that only seems to be there', async () => {
    const { streams } = place();
    const asker = new Asker();
    const reply = new KeptReply(streams.beginReply(), asker);
    reply.onStream();
    const first = await listen(streams, asker.marks[0]);
    const second = await listen(streams, asker.marks[0]);
    reply.onReply(json(1), false, 0);
    expect([first.said, first.end]).toEqual([['open', 'start'], null]);
    expect([second.said, asker.outcomes, asker.suspended]).toEqual([['open', 'start', '{"n":1}'], 0, 1]);
  });

  it('waits for a client that does not keep up, and leaves out nothing', async () => {
    const { streams } = place();
    const asker = new Asker();
    const reply = new KeptReply(streams.beginReply(), asker);
    reply.onStream();
    reply.gone();
    for (let n = 1; n <= 5; n++) reply.onMessage(json(n));
    const slow = new Reader();
    slow.patience = 2;
    await listen(streams, asker.marks[0], slow);
    reply.onMessage(json(6));
    reply.onReply(json(7), false, 0);
    expect([slow.said.length, slow.end]).toEqual([4, undefined]);
    slow.resume(1);
    expect([slow.said.length, slow.end]).toEqual([5, undefined]);
    slow.resume(100);
    expect(slow.said.slice(2)).toEqual([1, 2, 3, 4, 5, 6, 7].map((n) => `{"n":${n}}`));
    expect(slow.end).toBeNull();
  });

  it('is unknown when its answer could not be kept, and has what is left of it otherwise', async () => {
    const { streams } = place({ maxMessages: 2 });
    const [early, late] = [new Asker(), new Asker()];
    const replies = [early, late].map((asker) => new KeptReply(streams.beginReply(), asker));
    for (const reply of replies) reply.onStream();
    for (const reply of replies) reply.gone();
    for (const [index, reply] of replies.entries()) {
      reply.onMessage(json(index));
      reply.onMessage(json(10 + index));
      reply.onReply(json(20 + index), false, 0);
    }
    expect((await listen(streams, early.marks[0])).listening).toBe(EVENT_UNKNOWN);
    expect((await listen(streams, late.marks[0])).said).toEqual(['open', 'start', '{"n":11}', '{"n":21}']);
    const { streams: small } = place({ maxBytes: 300 });
    const reply = new KeptReply(small.beginReply(), early);
    reply.onReply(Buffer.from(JSON.stringify('x'.repeat(5000))), false, 0);
    expect((await listen(small, 'r1.0')).listening).toBe(EVENT_UNKNOWN);
  });

  it('ends with an error in place of an answer that never comes, and with nothing when the client took its request back', async () => {
    const { streams } = place();
    const [failed, cancelled] = [new Asker(), new Asker()];
    const [one, two] = [new KeptReply(streams.beginReply(), failed), new KeptReply(streams.beginReply(), cancelled)];
    one.onStream();
    two.onStream();
    one.gone();
    one.onFail(UPSTREAM_TIMEOUT, 'no answer');
    two.onCancelled();
    expect((await failed.outcome).refusal).toBe(UPSTREAM_TIMEOUT);
    expect((await listen(streams, failed.marks[0])).said.at(-1)).toContain(`"code":${UPSTREAM_TIMEOUT.rpcCode}`);
    expect((await listen(streams, cancelled.marks[0])).listening).toBe(EVENT_UNKNOWN);
  });

  it('has no ids where nothing is kept, and none before its first event for clients that know no such', async () => {
    const [bare, old] = [new Asker(), new Asker()];
    const streams = new KeptStreams({ memory: null, isPrimed: true });
    const { streams: unprimed } = place({}, false);
    for (const [asker, where] of [
      [bare, streams],
      [old, unprimed],
    ] as const) {
      const reply = new KeptReply(where.beginReply(), asker);
      reply.onStream();
      reply.onMessage(json(1));
    }
    expect([bare.marks, old.marks]).toEqual([[], ['r1.1']]);
    expect((await listen(streams, 'r1.0')).listening).toBe(EVENT_UNKNOWN);
  });
});

describe('a standing stream', () => {
  it('brings what was said while its client was gone, and questions to nobody who is not there', async () => {
    const { streams } = place();
    expect(streams.deliver(json(0), false)).toBe(false);
    const stream = await listen(streams);
    streams.deliver(json(1), false);
    stream.leave();
    expect([streams.deliver(json(2), false), streams.deliver(json(3), true)]).toEqual([true, false]);
    const back = await listen(streams, stream.ids.at(-1));
    expect(streams.deliver(json(4), true)).toBe(true);
    expect(back.said).toEqual(['open', '{"n":2}', '{"n":4}']);
  });

  it('is one of a few: each message goes to the youngest that is read, and those long left are forgotten', async () => {
    const { streams, store } = place();
    const open = [await listen(streams), await listen(streams), await listen(streams), await listen(streams)];
    expect((await listen(streams)).listening).toBe(UPSTREAM_BUSY);
    streams.deliver(json(1), false);
    expect(open.map(({ said }) => said.length)).toEqual([2, 2, 2, 3]);
    for (let round = 0; round < 20; round++) {
      open.pop()?.leave();
      open.push(await listen(streams));
      streams.deliver(json(round), false);
    }
    expect(store.figures.messages).toBeLessThanOrEqual(8);
  });

  it('goes on with what is said from now on when nothing of it is left', async () => {
    const { streams } = place();
    const stream = await listen(streams, 's99.5');
    streams.deliver(json(1), false);
    expect(stream.said).toEqual(['open', 'start', '{"n":1}']);
  });

  it('is not what anything else names', async () => {
    const { streams } = place();
    for (const made of ['r99.1', 'x1.1', 's1', '1', 's1.1.1', `s${'9'.repeat(20)}.1`]) {
      expect((await listen(streams, made)).listening, made).toBe(EVENT_UNKNOWN);
    }
  });

  it('ends with the session, and nothing of it is kept', async () => {
    const { streams, store } = place();
    const reply = new KeptReply(streams.beginReply(), new Asker());
    const stream = await listen(streams);
    streams.deliver(json(1), false);
    reply.onReply(json(2), false, 0);
    streams.end('over');
    expect([stream.end, store.figures.bytes, streams.isRead]).toEqual([null, 0, false]);
  });
});

describe('what is kept of a message', () => {
  it('is a copy, when it was a piece of something larger', async () => {
    const { streams } = place();
    const asker = new Asker();
    const reply = new KeptReply(streams.beginReply(), asker);
    const read = Buffer.alloc(65_536, 32);
    const piece = read.subarray(10, 20);
    piece.write('{"n":1}   ');
    reply.onReply(piece, false, 0);
    read.fill(0);
    expect((await listen(streams, 'r1.0')).said.at(-1)).toBe('{"n":1}   ');
  });
});
