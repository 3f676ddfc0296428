import { describe, expect, it } from 'vitest';
import { WorkerSink } from '../../src/audit/worker-sink.ts';
import type { AuditRecord } from '../../src/core/audit.ts';
import { fakeClock } from './support.ts';

interface Frame {
  readonly records: { seq: number; tool?: string; identity?: string }[];
  readonly lines: number;
  readonly dropped: number;
}

function harness(limits: { queueBytes?: number; queueLines?: number } = {}) {
  const clock = fakeClock();
  const frames: Frame[] = [];
  const state = { isOpen: true };
  const send = (bytes: Uint8Array, lines: number, dropped: number): boolean => {
    if (!state.isOpen) return false;
    const text = Buffer.from(bytes).toString();
    const records =
      text === ''
        ? []
        : text
            .slice(0, -1)
            .split('\n')
            .map((line) => JSON.parse(line) as Frame['records'][number]);
    frames.push({ records, lines, dropped });
    return true;
  };
  const sink = new WorkerSink({ worker: 4, clock, redact: (text) => text, send, ...limits });
  return { clock, frames, sink, state };
}

const call = (tool: string, identity?: string): AuditRecord => ({
  event_type: 'tool_call',
  tool,
  ...(identity === undefined ? {} : { identity }),
});

describe('WorkerSink', () => {
  it('hands over a batch after 50 ms, in order, numbered from 1, and sets no timer while idle', () => {
    const { clock, frames, sink } = harness();
    expect(clock.pending).toBe(0);
    for (const tool of ['a', 'b', 'c']) sink.write(call(tool));
    expect(frames).toHaveLength(0);
    clock.advance(50);
    expect(frames).toHaveLength(1);
    expect(frames[0]).toMatchObject({
      lines: 3,
      dropped: 0,
      records: [
        { seq: 1, tool: 'a', worker: 4 },
        { seq: 2, tool: 'b' },
        { seq: 3, tool: 'c' },
      ],
    });
    expect(clock.pending).toBe(0);
  });

  it('hands over at once when 64 KB wait', () => {
    const { frames, sink } = harness();
    for (let i = 0; i < 200; i++) sink.write(call('x'.repeat(900)));
    expect(frames.length).toBeGreaterThanOrEqual(2);
    expect(frames[0]?.records.length).toBe(frames[0]?.lines);
  });

  it('row 208: counts what finds no room, reports it with the next batch, and leaves a gap in the numbers', () => {
    const { clock, frames, sink, state } = harness({ queueLines: 10 });
    state.isOpen = false;
    for (let i = 0; i < 15; i++) sink.write(call(`t${i}`, 'alice'));
    clock.advance(50);
    expect(sink.queuedLines).toBe(10);
    state.isOpen = true;
    clock.advance(50);
    sink.write(call('later', 'alice'));
    clock.advance(50);
    expect(frames.map(({ lines, dropped }) => ({ lines, dropped }))).toEqual([
      { lines: 10, dropped: 5 },
      { lines: 1, dropped: 0 },
    ]);
    expect(frames[1]?.records[0]?.seq).toBe(16);
  });

  it('reports a loss although nothing follows it', () => {
    const { frames, sink } = harness({ queueBytes: 0 });
    sink.write(call('a'));
    sink.flush();
    expect(frames).toEqual([{ records: [], lines: 0, dropped: 1 }]);
  });

  it('keeps room for records of principals when a flood of nobodies fills the queue', () => {
    const { frames, sink, state } = harness({ queueLines: 100 });
    state.isOpen = false;
    for (let i = 0; i < 1000; i++) sink.write({ event_type: 'auth_failure' });
    sink.write(call('the one that matters', 'alice'));
    state.isOpen = true;
    sink.flush();
    expect(frames[0]).toMatchObject({ lines: 76, dropped: 925 });
    expect(frames[0]?.records.at(-1)).toMatchObject({ tool: 'the one that matters' });
  });

  it('flush hands over everything at once and is harmless when nothing waits', () => {
    const { clock, frames, sink } = harness();
    sink.flush();
    sink.write(call('a'));
    sink.flush();
    sink.flush();
    clock.advance(100);
    expect(frames).toHaveLength(1);
  });

  it('takes a send that returns nothing as taken', () => {
    const batches: Uint8Array[] = [];
    const sink = new WorkerSink({ worker: 0, clock: fakeClock(), redact: (text) => text, send: (bytes) => void batches.push(bytes) });
    sink.write(call('a'));
    sink.flush();
    sink.flush();
    expect(batches).toHaveLength(1);
  });

  it('leaves a batch alone that was taken, whatever is written after it', () => {
    const batches: Uint8Array[] = [];
    const sink = new WorkerSink({ worker: 0, clock: fakeClock(), redact: (text) => text, send: (bytes) => void batches.push(bytes) });
    for (const tool of ['first', 'second']) {
      sink.write(call(tool));
      sink.flush();
    }
    const tools = batches.map((bytes) => (JSON.parse(Buffer.from(bytes).toString()) as { tool: string }).tool);
    expect(tools).toEqual(['first', 'second']);
  });

  it('gives away no buffer that is mostly empty, whatever has waited in it before', () => {
    const batches: Uint8Array[] = [];
    let isOpen = true;
    const send = (bytes: Uint8Array): boolean => isOpen && batches.push(bytes) > 0;
    const sink = new WorkerSink({ worker: 0, clock: fakeClock(), redact: (text) => text, send });
    for (const count of [1, 1, 40, 90, 1, 3000, 1, 2]) {
      isOpen = false;
      for (let index = 0; index < count; index++) sink.write(call('x'.repeat(800), 'alice'));
      isOpen = true;
      sink.flush();
    }
    expect(batches.map((bytes) => Buffer.from(bytes).toString().split('\n').length - 1)).toEqual([1, 1, 40, 90, 1, 3000, 1, 2]);
    for (const bytes of batches) expect(bytes.buffer.byteLength).toBeLessThanOrEqual(2 * bytes.length);
  });

  it('stamps a record when it comes, not when it becomes a line with its fellows', () => {
    const { clock, frames, sink } = harness();
    for (let index = 0; index < 70; index++) {
      sink.write(call(`t${index}`));
      if (index % 10 === 9) clock.advance(1);
    }
    sink.flush();
    const records = frames[0]?.records as unknown as { seq: number; tool: string; timestamp: string }[];
    expect(records.map(({ tool }) => tool)).toEqual(Array.from({ length: 70 }, (_, index) => `t${index}`));
    expect(records.map(({ seq }) => seq)).toEqual(Array.from({ length: 70 }, (_, index) => index + 1));
    const first = Date.parse(records[0]?.timestamp ?? '');
    expect(records.map(({ timestamp }) => Date.parse(timestamp) - first)).toEqual(
      Array.from({ length: 70 }, (_, index) => Math.floor(index / 10)),
    );
  });

  it('keeps no text that a client made huge: its record is a line, cut, at once', () => {
    const seen: number[] = [];
    const redact = (text: string): string => {
      seen.push(text.length);
      return text;
    };
    const sink = new WorkerSink({ worker: 0, clock: fakeClock(), redact, send: () => true });
    sink.write(call('short'));
    expect(seen).toEqual([]);
    sink.write(call('x'.repeat(1_000_000)));
    expect(seen.length).toBeGreaterThanOrEqual(2);
    seen.length = 0;
    sink.write({ event_type: 'policy_denied', detail: 'y'.repeat(1_000_000) });
    expect(seen.length).toBeGreaterThanOrEqual(1);
  });

  it('keeps every byte of lines of any width while none is taken', () => {
    const { frames, sink, state } = harness();
    state.isOpen = false;
    const tools = Array.from({ length: 2000 }, (_, index) => ['a', 'é', '漢', '😀'][index % 4]?.repeat(index % 500) ?? '');
    for (const tool of tools) sink.write(call(tool, 'alice'));
    state.isOpen = true;
    sink.flush();
    expect(frames[0]?.lines).toBe(2000);
    expect(frames[0]?.records.map(({ tool }) => tool)).toEqual(tools);
  });
});
