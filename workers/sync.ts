import { parentPort, workerData } from 'node:worker_threads';
import { runSyncThread, type SyncThreadData } from '../src/process/sync-thread.ts';

/** Settles the shared buckets of a worker with the authority in the primary. */
if (parentPort !== null) runSyncThread(parentPort, workerData as SyncThreadData);
