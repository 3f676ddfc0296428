import { compileRedaction } from '../audit/redact.ts';
import { configuredSecrets } from '../audit/secrets.ts';
import { openTrail, type Trail } from '../audit/trail.ts';
import { systemClock } from '../core/clock.ts';
import type { ConfigSnapshot } from '../core/config.ts';
import type { Log } from '../core/log.ts';
import type { MetricsDump } from '../core/messages.ts';
import type { AuthorityFigures } from '../observe/authority-families.ts';
import { createLog } from '../observe/log.ts';
import type { NewsFigures } from '../observe/news-families.ts';
import { PrimaryMetrics, type WorkerFigures } from '../observe/primary-metrics.ts';
import { CompressPool } from './compress-pool.ts';
import { StartError } from './ports.ts';

/** What the primary keeps for all workers. */
export interface PrimaryServices {
  readonly log: Log;
  /** The authority of all workers' limits, if there is one; set once it is. */
  limits: () => AuthorityFigures | null;
  /** What hosts tell each other of sessions, if they do; set once they can. */
  news: () => NewsFigures | null;
  /** A worker's batch of audit lines. */
  audit(bytes: Uint8Array, lines: number, dropped: number): void;
  /** Exposition text of all workers together with the primary's own figures. */
  metricsText(dumps: readonly MetricsDump[], workers: WorkerFigures): Promise<string>;
  /** Writes what waits and closes the files. */
  close(): Promise<void>;
}

/** Opens the audit trail and the log. @throws StartError when the trail cannot be written */
export async function buildServices(config: ConfigSnapshot, verbosity: number): Promise<PrimaryServices> {
  const redact = compileRedaction(config.audit.redactionRules, configuredSecrets(config));
  const log = createLog(config.logging, { redact, verbosity });
  const pool = new CompressPool();
  const trail = await open(config, log, pool);
  const metrics = new PrimaryMetrics({
    clock: systemClock,
    audit: () => (config.audit.isEnabled ? trail.stats() : null),
    limits: () => services.limits(),
    news: () => services.news(),
    hasOwnProcess: config.server.workers > 0,
  });
  const services: PrimaryServices = {
    log,
    limits: () => null,
    news: () => null,
    audit: (bytes, lines, dropped) => trail.write(bytes, lines, dropped),
    metricsText: (dumps, workers) => metrics.text(dumps, workers),
    close: async () => {
      await trail.close();
      await pool.close();
      metrics.close();
    },
  };
  return services;
}

async function open(config: ConfigSnapshot, log: Log, pool: CompressPool): Promise<Trail> {
  try {
    return await openTrail(config.audit, { clock: systemClock, log, compress: (path) => pool.compress(path) });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(`cannot open the audit file ${config.audit.file ?? ''}: ${reason}`, { cause: error });
  }
}
