import { Packr } from 'msgpackr';

/** One end of a conversation between the primary and a worker. Messages arrive in order; none arrives after `close`. */
export interface Link<Out, In> {
  /** Queues a message; all of one turn of the loop travel in one frame. Ignored after `close`. */
  send(message: Out): void;
  /** Sends what is queued now, and calls back when the other end's channel has taken it. */
  flush(done: () => void): void;
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

/** A link over node's IPC channel (serialisation `advanced`): msgpackr frames of message arrays. */
export function channelLink<Out, In>(channel: Channel, decode: (value: unknown) => In | null): Link<Out, In> {
  let queue: Out[] = [];
  let isScheduled = false;
  const flush = (done?: () => void): void => {
    isScheduled = false;
    if (queue.length === 0 || !channel.connected || channel.send === undefined) return done?.();
    const frame = packr.pack(queue);
    queue = [];
    channel.send(frame, () => done?.());
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
      if (isScheduled) return;
      isScheduled = true;
      setImmediate(flush);
    },
    flush,
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
    close: () => {
      end.receive = null;
    },
  };
  return end;
}
