import { asToWorker, type ToPrimary, type ToWorker } from '../core/messages.ts';
import { channelLink } from './link.ts';
import { Worker } from './worker.ts';

/** Entry point of a cluster worker. Signals are the primary's business; without a primary there is no work. */
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

const worker = new Worker(channelLink<ToPrimary, ToWorker>(process, asToWorker), () => process.exit(0));
// node:cluster ends a worker whose primary is gone; the children must not outlive it.
process.on('exit', () => {
  worker.killChildren();
  if (!process.connected) worker.removeOrphanedSockets();
});
process.on('uncaughtException', (error) => worker.crash(error));
process.on('unhandledRejection', (error) => worker.crash(error));
