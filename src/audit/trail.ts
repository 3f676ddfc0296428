import type { AuditStats } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import type { AuditSettings } from '../core/config.ts';
import type { Log } from '../core/log.ts';
import { type AuditOutput, openFileSink } from './file-sink.ts';
import { openStdoutSink } from './stdout-sink.ts';

/** How long the outputs may take to write what waits when the gateway ends. */
const CLOSE_MS = 2000;

/** The audit trail as the primary keeps it: what all workers hand over goes to every configured output. */
export interface Trail {
  /** A worker's batch of complete lines; `dropped` records it lost before. Never throws, never blocks. */
  write(text: Uint8Array | string, lines: number, dropped: number): void;
  stats(): AuditStats;
  /** Writes, syncs and closes the outputs. Idempotent. */
  close(): Promise<void>;
}

export interface TrailDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** `gzipFile` on a thread; null = rotated files are not compressed. */
  readonly compress: ((path: string) => Promise<void>) | null;
}

/** Opens the outputs that the settings name. @throws when one cannot be opened; nothing is left open then */
export async function openTrail(settings: AuditSettings, deps: TrailDeps): Promise<Trail> {
  const outputs = settings.isEnabled ? await openOutputs(settings, deps) : [];
  let records = 0;
  let workerDrops = 0;
  let closed: Promise<unknown> | null = null;
  return {
    write(text, lines, dropped) {
      records += lines;
      workerDrops += dropped;
      for (const output of outputs) output.write(text, lines);
    },
    stats: () => ({
      records,
      workerDrops,
      rotations: outputs.reduce((sum, output) => sum + output.rotations, 0),
      outputs: outputs.map((output) => output.stats()),
    }),
    async close() {
      closed ??= Promise.all(outputs.map((output) => output.close(CLOSE_MS)));
      await closed;
    },
  };
}

async function openOutputs(settings: AuditSettings, deps: TrailDeps): Promise<AuditOutput[]> {
  const { clock, compress, log } = deps;
  const outputs: AuditOutput[] = [];
  if (settings.file !== null) outputs.push(await openFileSink({ path: settings.file, rotation: settings.rotation, clock, log, compress }));
  if (settings.isStdout) outputs.push(openStdoutSink({ clock, log }));
  return outputs;
}
