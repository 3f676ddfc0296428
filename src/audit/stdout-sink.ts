import { fstatSync, write } from 'node:fs';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { AuditOutput } from './file-sink.ts';
import { type LineTarget, LineWriter } from './line-writer.ts';

const STDOUT = 1;

export interface StdoutSinkOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Another descriptor, for tests. */
  readonly fd?: number;
  readonly queueBytes?: number;
}

type Append = LineTarget['append'];

/** `process.stdout` would write to a file synchronously. */
function toFile(fd: number): Append {
  return (bytes) =>
    new Promise((resolve, reject) => {
      write(fd, bytes, 0, bytes.length, null, (error, written) => (error === null ? resolve(written) : reject(error)));
    });
}

/**
 * Pipes and sockets by the stream, which does not block: a write on a thread to a reader that is stuck would keep the
 * process from ending. One chunk is under way at a time, the rest waits in the bounded queue.
 */
function toStream(stream: NodeJS.WriteStream): Append {
  // Each write reports its own error; without a listener the stream would end the process.
  stream.on('error', () => undefined);
  return (bytes) =>
    new Promise((resolve, reject) => {
      stream.write(bytes, (error) => (error ? reject(error) : resolve(bytes.length)));
    });
}

/** Audit lines on stdout, in order with what `process.stdout` was given before. */
export function openStdoutSink(options: StdoutSinkOptions): AuditOutput {
  const { clock, log, queueBytes, fd = STDOUT } = options;
  const append = fstatSync(fd).isFile() ? toFile(fd) : toStream(process.stdout);
  const target: LineTarget = { prepare: async () => Number.POSITIVE_INFINITY, append, close: async () => undefined };
  const writer = new LineWriter({ output: 'stdout', target, clock, log, ...(queueBytes === undefined ? {} : { queueBytes }) });
  return {
    write: (text, lines) => writer.write(text, lines),
    stats: () => writer.stats(),
    rotations: 0,
    close: (timeoutMs) => writer.close(timeoutMs),
  };
}
