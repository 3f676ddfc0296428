import { Packr, RESET_BUFFER_MODE } from 'msgpackr';

/** One end of a conversation between the primary and a worker. Messages arrive in order; none arrives after `close`. */
export interface Link<Out, In> {
  /** Queues a message; all of one turn of the loop travel in one frame. Ignored after `close`. */
  send(message: Out): void;
  /** Sends what is queued now, and calls back when the channel has taken it and everything before it. */
  flush(done: () => void): void;
  /** About how many bytes wait for the other end to read: what grows when it is stuck. */
  readonly backlogBytes: number;
  receive: ((message: In) => void) | null;
  close(): void;
}

/** The part of a process handle that a link needs: `process` itself, or a cluster worker's process. */
export interface Channel {
  readonly connected: boolean;
  send?(frame: Uint8Array, done: () => void): boolean;
  on(event: 'message', listener: (frame: unknown) => void): unknown;
  off(event: 'message', listener: (frame: unknown) => void): unknown;
}

const packr = new Packr({ useRecords: false });
/** msgpackr makes its buffer four times as large as the largest message; one that was needed once is not kept. */
const KEPT_BYTES = 1024 * 1024;
const FIRST_BYTES = 8192;

/**
 * A frame of its own size, and msgpackr's buffer is used again. A frame in that buffer would need another one for every few audit batches,
 * each old enough by then that only a full collection frees it.
 */
function frameOf(messages: readonly unknown[]): Uint8Array {
  const packed = packr.pack(messages, RESET_BUFFER_MODE);
  const frame = new Uint8Array(packed);
  if (packed.buffer.byteLength > KEPT_BYTES) packr.useBuffer(Buffer.allocUnsafeSlow(FIRST_BYTES));
  return frame;
}

/** Texts and bytes are what is large in a message. */
function weightOf(message: unknown): number {
  let units = 0;
  for (const value of Object.values(message ?? {})) {
    if (typeof value === 'string' || value instanceof Uint8Array) units += value.length;
  }
  return units;
}

/** A link over node's IPC channel (serialisation `advanced`): msgpackr frames of message arrays. */
export function channelLink<Out, In>(channel: Channel, decode: (value: unknown) => In | null): Link<Out, In> {
  let queue: Out[] = [];
  let queuedUnits = 0;
  let sentBytes = 0;
  let isScheduled = false;
  /** Frames are taken in order: the last one's end is that of all. */
  let lastTaken: Promise<void> = Promise.resolve();
  const transmit = (): void => {
    isScheduled = false;
    if (queue.length === 0) return;
    const frame = frameOf(queue);
    queue = [];
    queuedUnits = 0;
    if (!channel.connected || channel.send === undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    lastTaken = promise;
    sentBytes += frame.length;
    channel.send(frame, () => {
      sentBytes -= frame.length;
      resolve();
    });
  };
  const onMessage = (frame: unknown): void => {
    if (!(frame instanceof Uint8Array)) return;
    for (const value of packr.unpack(frame) as unknown[]) {
      const message = decode(value);
      if (message !== null) link.receive?.(message);
    }
  };
  channel.on('message', onMessage);
  const link: Link<Out, In> = {
    receive: null,
    send(message) {
      queue.push(message);
      queuedUnits += weightOf(message);
      if (isScheduled) return;
      isScheduled = true;
      setImmediate(transmit);
    },
    flush(onTaken) {
      transmit();
      void lastTaken.then(onTaken);
    },
    get backlogBytes() {
      return queuedUnits + sentBytes;
    },
    close() {
      channel.off('message', onMessage);
      link.receive = null;
    },
  };
  return link;
}

/** Two ends in one process (`server.workers = 0`). */
export function memoryLinks<A, B>(): [Link<A, B>, Link<B, A>] {
  const near = memoryEnd<A, B>(() => far);
  const far: Link<B, A> = memoryEnd<B, A>(() => near);
  return [near, far];
}

function memoryEnd<Out, In>(other: () => Link<In, Out>): Link<Out, In> {
  const end: Link<Out, In> = {
    receive: null,
    send: (message) => void setImmediate(() => other().receive?.(message)),
    flush: (done) => void setImmediate(done),
    backlogBytes: 0,
    close: () => {
      end.receive = null;
    },
  };
  return end;
}
