import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { serialize } from 'node:v8';
import { Packr } from 'msgpackr';
import { Bench } from 'tinybench';
import type { ToPrimary } from '../src/core/messages.ts';
import { printTable } from './print-table.ts';

/** Bounds: what a message between worker and primary costs, alone and as one of a frame of 64. */
const FRAME = 64;
const PACK_BATCH = 50;
const packr = new Packr({ useRecords: false });

const line = `${JSON.stringify({
  timestamp: '2026-11-20T10:00:00.000Z',
  event_type: 'tool_call',
  seq: 12_345,
  worker: 1,
  request_id: '01997b3e-0000-7000-8000-000000000000',
  identity: 'alice',
  provider: 'api_key',
  client_ip: '127.0.0.1',
  server: 'default',
  method: 'tools/call',
  tool: 'echo',
  decision: 'allow',
})}\n`;
const message: ToPrimary = { type: 'audit', bytes: Buffer.from(line), lines: 1, dropped: 0 };
// Distinct objects, as real ones are: v8.serialize would write repetitions as references.
const frame = Array.from(
  { length: FRAME },
  (_, i): ToPrimary => ({ ...message, bytes: Buffer.from(line.replace('12345', String(12_345 + i))) }),
);

/** The other end: echoes every frame. */
function echo(): void {
  process.on('message', (bytes: unknown) => process.send?.(bytes));
}

function roundTrip(child: ChildProcess, messages: readonly ToPrimary[]): Promise<void> {
  return new Promise((resolve) => {
    child.once('message', (bytes) => {
      if ((packr.unpack(bytes as Buffer) as unknown[]).length !== messages.length) throw new Error('a frame came back changed');
      resolve();
    });
    child.send(packr.pack(messages));
  });
}

async function measure(): Promise<void> {
  const packed = packr.pack(frame);
  const packing = new Bench({ time: 500, warmupTime: 100 });
  const repeat = (step: () => unknown) => () => {
    for (let i = 0; i < PACK_BATCH; i++) step();
  };
  packing
    .add(
      `msgpackr pack, per message of a ${packed.length} B frame`,
      repeat(() => packr.pack(frame)),
    )
    .add(
      'msgpackr unpack',
      repeat(() => packr.unpack(packed)),
    )
    .add(
      'JSON.stringify',
      repeat(() => JSON.stringify(frame)),
    )
    .add(
      'v8.serialize',
      repeat(() => serialize(frame)),
    );
  await packing.run();
  printTable(`packing, frames of ${FRAME} messages`, packing, PACK_BATCH * FRAME);

  const child = fork(fileURLToPath(import.meta.url), ['echo'], { serialization: 'advanced' });
  const single = new Bench({ time: 1_000, warmupTime: 300 });
  single.add('IPC round trip, one message', async () => await roundTrip(child, [message]));
  await single.run();
  printTable('node IPC', single, 1);
  const framed = new Bench({ time: 1_000, warmupTime: 300 });
  framed.add(`IPC round trip, per message of ${FRAME}`, async () => await roundTrip(child, frame));
  await framed.run();
  printTable('node IPC', framed, FRAME);
  child.disconnect();
}

if (process.argv[2] === 'echo') echo();
else await measure();
