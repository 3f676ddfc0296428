import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { WorkerSink } from '../../src/audit/worker-sink.ts';
import { asToPrimary, asToWorker, type ToPrimary, type ToWorker } from '../../src/core/messages.ts';
import { AuditOutlet } from '../../src/process/audit-outlet.ts';
import { auditPathOf } from '../../src/process/audit-path.ts';
import { type Channel, channelLink } from '../../src/process/link.ts';
import { fakeClock } from '../audit/support.ts';

const MIB = 1024 * 1024;
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A worker's audit path towards a primary that does not read until `resume`. */
function stuckPrimary() {
  const ends = [new EventEmitter(), new EventEmitter()];
  const held: { frame: Uint8Array; done: () => void }[] = [];
  let isStuck = true;
  const deliver = ({ frame, done }: { frame: Uint8Array; done: () => void }): void => {
    ends[1]?.emit('message', frame);
    done();
  };
  const near = Object.assign(ends[0] as EventEmitter, {
    connected: true,
    send: (frame: Uint8Array, done: () => void) => {
      if (isStuck) held.push({ frame, done });
      else deliver({ frame, done });
      return !isStuck;
    },
  }) as unknown as Channel;
  const far = Object.assign(ends[1] as EventEmitter, { connected: true }) as unknown as Channel;
  const worker = channelLink<ToPrimary, ToWorker>(near, asToWorker);
  const primary = channelLink<ToWorker, ToPrimary>(far, asToPrimary);
  const received: Extract<ToPrimary, { type: 'audit' }>[] = [];
  primary.receive = (message) => {
    if (message.type === 'audit') received.push(message);
  };
  const outlet = new AuditOutlet(auditPathOf(worker));
  const clock = fakeClock();
  const sink = new WorkerSink({ worker: 0, clock, redact: (text) => text, send: (...frame) => outlet.send(...frame) });
  return {
    worker,
    outlet,
    clock,
    sink,
    received,
    heldBytes: () => held.reduce((sum, { frame }) => sum + frame.length, 0),
    resume: () => {
      isStuck = false;
      held.splice(0).forEach(deliver);
    },
  };
}

async function writeMuch(path: ReturnType<typeof stuckPrimary>, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    path.sink.write({ event_type: 'request', identity: 'alice', detail: 'x'.repeat(900) });
    if (index % 200 === 0) await nextTurn();
  }
}

describe('the audit path of a worker whose primary is stuck', () => {
  it('holds a bounded number of bytes, and hands over every line with a gap in seq for each dropped one', async () => {
    const path = stuckPrimary();
    await writeMuch(path, 60_000);
    await nextTurn();
    expect(path.worker.backlogBytes).toBeGreaterThan(8 * MIB);
    expect(path.worker.backlogBytes).toBeLessThan(9 * MIB);
    expect(path.heldBytes()).toBeLessThan(9 * MIB);
    path.resume();
    path.clock.advance(50);
    await nextTurn();
    path.sink.write({ event_type: 'request', identity: 'alice' });
    path.clock.advance(50);
    await nextTurn();
    const seqs = path.received.flatMap(({ bytes }) =>
      Buffer.from(bytes)
        .toString()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => (JSON.parse(line) as { seq: number }).seq),
    );
    const dropped = path.received.reduce((sum, frame) => sum + frame.dropped, 0);
    expect(dropped).toBeGreaterThan(30_000);
    expect(seqs.length + dropped).toBe(60_001);
    expect(seqs.at(-1)).toBe(60_001);
    const gaps = seqs.reduce((sum, seq, index) => sum + seq - (seqs[index - 1] ?? 0) - 1, 0);
    expect(gaps).toBe(dropped);
    expect(path.received.reduce((sum, frame) => sum + frame.lines, 0)).toBe(seqs.length);
  });

  it('drops nothing while the backlog is below its bound', async () => {
    const path = stuckPrimary();
    await writeMuch(path, 5000);
    path.sink.flush();
    await nextTurn();
    path.resume();
    expect(path.received.reduce((sum, frame) => sum + frame.lines, 0)).toBe(5000);
    expect(path.received.every(({ dropped }) => dropped === 0)).toBe(true);
  });

  it('takes the last lines of a worker that ends whatever waits', async () => {
    const path = stuckPrimary();
    await writeMuch(path, 20_000);
    expect(path.outlet.send(Buffer.from('{}\n'), 1, 0)).toBe(false);
    path.outlet.end();
    path.sink.flush();
    expect(path.sink.queuedLines).toBe(0);
    expect(path.outlet.send(Buffer.from('{}\n'), 1, 0)).toBe(true);
  });
});
