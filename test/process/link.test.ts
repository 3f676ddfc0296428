import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { asToPrimary, asToWorker, type ToPrimary, type ToWorker } from '../../src/core/messages.ts';
import { type Channel, channelLink, memoryLinks } from '../../src/process/link.ts';

/** Two ends of an IPC channel that count frames. */
function channelPair(): { near: Channel; far: Channel; frames: () => number } {
  let frames = 0;
  const ends = [new EventEmitter(), new EventEmitter()];
  const channel = (index: number): Channel =>
    Object.assign(ends[index] as EventEmitter, {
      connected: true,
      send: (frame: unknown, done?: () => void) => {
        frames += 1;
        setImmediate(() => {
          ends[1 - index]?.emit('message', frame);
          done?.();
        });
        return true;
      },
    }) as unknown as Channel;
  return { near: channel(0), far: channel(1), frames: () => frames };
}

describe('channelLink', () => {
  it('delivers messages in order, all of one turn in one frame', async () => {
    const { near, far, frames } = channelPair();
    const primary = channelLink<ToWorker, ToPrimary>(near, asToPrimary);
    const worker = channelLink<ToPrimary, ToWorker>(far, asToWorker);
    const seen: string[] = [];
    primary.receive = (message) => seen.push(message.type === 'audit' ? Buffer.from(message.bytes).toString() : message.type);
    for (let index = 0; index < 5; index++) worker.send({ type: 'audit', bytes: Buffer.from(String(index)), lines: 1, dropped: 0 });
    worker.send({ type: 'drained' });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(seen).toEqual(['0', '1', '2', '3', '4', 'drained']);
    expect(frames()).toBe(1);
  });

  it('sends frames of their own size, which later ones leave alone', async () => {
    const frames: Uint8Array[] = [];
    const channel = { connected: true, send: (frame: Uint8Array) => frames.push(frame) > 0, on: () => null, off: () => null };
    const worker = channelLink<ToPrimary, ToWorker>(channel, asToWorker);
    const sizes = [10, 70_000, 10, 2_000_000, 10];
    for (const [index, size] of sizes.entries()) {
      worker.send({ type: 'audit', bytes: Buffer.alloc(size, index + 65), lines: 1, dropped: 0 });
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(frames.map((frame) => frame.buffer.byteLength - frame.byteLength)).toEqual([0, 0, 0, 0, 0]);
    const seen: string[] = [];
    const { near, far } = channelPair();
    channelLink<ToWorker, ToPrimary>(near, asToPrimary).receive = (message) =>
      seen.push(message.type === 'audit' ? Buffer.from(message.bytes).toString() : message.type);
    for (const frame of frames) far.send?.(frame, () => {});
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(seen.map((text) => [text.length, new Set(text).size, text[0]])).toEqual(sizes.map((size, index) => [size, 1, 'ABCDE'[index]]));
  });

  it('ignores frames and messages that are not ours', async () => {
    const { near, far } = channelPair();
    const primary = channelLink<ToWorker, ToPrimary>(near, asToPrimary);
    const seen: ToPrimary[] = [];
    primary.receive = (message) => seen.push(message);
    (far as unknown as EventEmitter & { send: (frame: unknown) => void }).send('hello');
    channelLink<unknown, unknown>(far, (value) => value).send({ type: 'rm_rf' });
    channelLink<unknown, unknown>(far, (value) => value).send(null);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(seen).toEqual([]);
  });

  it('calls back from flush when the channel has taken what was queued', async () => {
    const { near, far } = channelPair();
    const seen: ToWorker[] = [];
    channelLink<ToPrimary, ToWorker>(far, asToWorker).receive = (message) => seen.push(message);
    const primary = channelLink<ToWorker, ToPrimary>(near, asToPrimary);
    primary.send({ type: 'collect', ticket: 7 });
    await new Promise<void>((resolve) => primary.flush(resolve));
    expect(seen).toEqual([{ type: 'collect', ticket: 7 }]);
  });
});

/** A channel whose other end does not read: it takes frames and says of none that it is gone. */
function stalledChannel(): { channel: Channel; frames: Uint8Array[]; resume: () => void } {
  const frames: Uint8Array[] = [];
  const waiting: (() => void)[] = [];
  const channel = Object.assign(new EventEmitter(), {
    connected: true,
    send: (frame: Uint8Array, done: () => void) => {
      frames.push(frame);
      waiting.push(done);
      return false;
    },
  }) as unknown as Channel;
  return { channel, frames, resume: () => waiting.splice(0).forEach((done) => done()) };
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the backlog of a channelLink', () => {
  it('counts what is queued, then what the channel has not passed on, and nothing once it has', async () => {
    const { channel, resume } = stalledChannel();
    const link = channelLink<ToPrimary, ToWorker>(channel, asToWorker);
    expect(link.backlogBytes).toBe(0);
    link.send({ type: 'audit', bytes: Buffer.alloc(1000, 'x'), lines: 1, dropped: 0 });
    expect(link.backlogBytes).toBeGreaterThanOrEqual(1000);
    await nextTurn();
    expect(link.backlogBytes).toBeGreaterThanOrEqual(1000);
    expect(link.backlogBytes).toBeLessThan(1200);
    resume();
    expect(link.backlogBytes).toBe(0);
  });

  it('is small again when the other end is gone', async () => {
    const { channel } = stalledChannel();
    const link = channelLink<ToPrimary, ToWorker>(channel, asToWorker);
    (channel as { connected: boolean }).connected = false;
    for (let index = 0; index < 100; index++) link.send({ type: 'audit', bytes: Buffer.alloc(1000, 'x'), lines: 1, dropped: 0 });
    await nextTurn();
    expect(link.backlogBytes).toBe(0);
  });

  it('flush waits for all that was sent before, also when nothing is queued', async () => {
    const { channel, resume } = stalledChannel();
    const link = channelLink<ToPrimary, ToWorker>(channel, asToWorker);
    link.send({ type: 'drained' });
    await nextTurn();
    let isDone = false;
    link.flush(() => (isDone = true));
    await nextTurn();
    expect(isDone).toBe(false);
    resume();
    await nextTurn();
    expect(isDone).toBe(true);
  });
});

describe('memoryLinks', () => {
  it('connects two ends in one process, never synchronously', async () => {
    const [near, far] = memoryLinks<string, number>();
    const seen: unknown[] = [];
    near.receive = (message) => seen.push(message);
    far.receive = (message) => seen.push(message);
    near.send('to far');
    far.send(1);
    expect(seen).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(seen).toEqual(['to far', 1]);
  });
});
