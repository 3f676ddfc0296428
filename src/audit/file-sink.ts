import type { AuditOutputStats } from '../core/audit.ts';
import type { Timer } from '../core/clock.ts';
import { LineWriter } from './line-writer.ts';
import { RotatingFile, type RotatingFileOptions } from './rotating-file.ts';

/** How often an idle file is looked at for rotation by age. */
const AGE_CHECK_MS = 60_000;

/** One output of the trail: takes complete lines, in order. */
export interface AuditOutput {
  write(text: Uint8Array | string, lines: number): void;
  stats(): AuditOutputStats;
  readonly rotations: number;
  /** Writes and syncs what waits, for at most `timeoutMs`. */
  close(timeoutMs: number): Promise<void>;
}

export interface FileSinkOptions extends RotatingFileOptions {
  readonly queueBytes?: number;
}

/** The audit file. @throws when it cannot be opened */
export async function openFileSink(options: FileSinkOptions): Promise<AuditOutput> {
  const target = await RotatingFile.open(options);
  const { clock, log, queueBytes, rotation } = options;
  const writer = new LineWriter({ output: 'file', target, clock, log, ...(queueBytes === undefined ? {} : { queueBytes }) });
  let ageCheck: Timer | null = null;
  if (rotation.maxAgeMs > 0) ageCheck = clock.every(Math.min(rotation.maxAgeMs, AGE_CHECK_MS), () => writer.poke());
  return {
    write: (text, lines) => writer.write(text, lines),
    stats: () => writer.stats(),
    get rotations() {
      return target.rotations;
    },
    close: (timeoutMs) => {
      ageCheck?.cancel();
      return writer.close(timeoutMs);
    },
  };
}
