/** Where finished lines go. */
export interface LogDestination {
  write(line: string): void;
}

/** What may wait for a reader of stderr that is slow or stuck. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

let isWatched = false;

/**
 * Stderr through node's stream: for pipes it neither blocks the event loop nor, unlike a write on a thread, keeps the
 * process from ending when nobody reads. Bounded: lines beyond are left out, and their number is told when there is room.
 */
export function stderrDestination(): LogDestination {
  const stream = process.stderr;
  // Each write reports its own error; without a listener a reader that is gone would end the process.
  if (!isWatched) stream.on('error', () => undefined);
  isWatched = true;
  let lost = 0;
  return {
    write(line) {
      if (stream.writableLength > MAX_WAITING_BYTES) {
        lost += 1;
        return;
      }
      if (lost > 0) stream.write(`{"level":"warn","msg":"log lines lost because stderr was not read","lines":${lost}}\n`);
      lost = 0;
      stream.write(line);
    },
  };
}
