import type { MessagePort } from 'node:worker_threads';
import type { LeaseAccess } from '../core/messages.ts';
import { applyGrant, leaseMemory } from '../limit/lease-memory.ts';
import { applyGrants, readRecalls } from './lease-answers.ts';
import { LeaseWire } from './lease-wire.ts';

/** What the thread is started with. */
export interface SyncThreadData {
  readonly access: LeaseAccess;
  /** The shared buckets. */
  readonly buffer: SharedArrayBuffer;
  /** One int32: bytes of batches taken from the queue, modulo 2^32, so that the event loop sees when the thread is stuck. */
  readonly taken: SharedArrayBuffer;
}

/** Event loop → sync thread: the number of the connection it is meant for (u32), then a whole frame. Null ends the thread. */
export type ToSyncThread = Uint8Array | null;

/** Sync thread → event loop: a frame of answers or recalls; or the number of a new connection, 0 when it is lost. */
export type FromSyncThread = Uint8Array | number;

/** Bytes before the frame in a message to the thread. */
export const CONNECTION_BYTES: number = 4;

/**
 * Carries batches of asks to the primary and answers back, and adds what was granted to the shared buckets. What was meant
 * for an earlier connection is dropped: the event loop learns of the loss first, and begins anew.
 */
export function runSyncThread(port: MessagePort, data: SyncThreadData): void {
  const memory = leaseMemory(data.buffer);
  const taken = new Int32Array(data.taken);
  let connection = 0;
  let connections = 0;
  const tell = (message: FromSyncThread): void => port.postMessage(message);
  const wire = new LeaseWire(data.access, {
    connected: (isConnected) => {
      connection = isConnected ? ++connections : 0;
      tell(connection);
    },
    answers: (frame) => {
      if (readRecalls(frame) !== null) {
        tell(frame.slice());
        return true;
      }
      if (!applyGrants(frame, (slot, generation, tokens) => void applyGrant(memory, slot, generation, tokens))) return false;
      tell(frame.slice());
      return true;
    },
  });
  port.on('message', (message: ToSyncThread) => {
    if (message === null) return wire.end(() => port.close());
    Atomics.add(taken, 0, message.length);
    if (connectionOf(message) === connection) wire.send(message.subarray(CONNECTION_BYTES));
  });
}

function connectionOf(message: Uint8Array): number {
  return new DataView(message.buffer, message.byteOffset, CONNECTION_BYTES).getUint32(0, true);
}
