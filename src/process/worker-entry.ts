import { Socket } from 'node:net';
import { asToWorker, type ToPrimary, type ToWorker } from '../core/messages.ts';
import { AUDIT_FD, AuditPipe } from './audit-path.ts';
import { channelLink } from './link.ts';
import { startListeners } from '../pipeline/build.ts';
import { Worker } from './worker.ts';

/** Entry point of a cluster worker. Signals are the primary's business; without a primary there is no work. */
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

const link = channelLink<ToPrimary, ToWorker>(process, asToWorker);
const audit = new Socket({ fd: AUDIT_FD, readable: false, writable: true });
const worker = new Worker(link, () => process.exit(0), startListeners, new AuditPipe(audit));
// Without it nothing would be recorded: another worker, with another pipe, takes over. With the primary gone, node ends this one anyway.
audit.on('error', (error) => void (process.connected && worker.crash(error)));
// node:cluster ends a worker whose primary is gone; the children must not outlive it.
process.on('exit', () => {
  worker.killChildren();
  if (!process.connected) worker.removeOrphanedSockets();
});
process.on('uncaughtException', (error) => worker.crash(error));
process.on('unhandledRejection', (error) => worker.crash(error));
