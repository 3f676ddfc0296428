import cluster, { type Worker as ClusterWorker } from 'node:cluster';
import type { ChildProcess } from 'node:child_process';
import { availableParallelism } from 'node:os';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { asToPrimary, type ToPrimary, type ToWorker } from '../core/messages.ts';
import { AUDIT_FD, readAuditPipe } from './audit-path.ts';
import { channelLink, type Link, memoryLinks } from './link.ts';
import { tuneOwnProcess, workerEnv, workerFlags } from './worker-runtime.ts';
import { type Listen, Worker } from './worker.ts';

/** Wait before a lost worker's successor is started: doubles with each quick death, forgotten after a stable minute. */
const FIRST_BACKOFF_MS = 50;
const MAX_BACKOFF_MS = 10_000;
const STABLE_MS = 60_000;
/** How long the last messages of a process that has ended may take to be read. */
const LAST_MESSAGES_MS = 1000;

/** What the supervisor tells the primary. */
export interface SupervisorEvents {
  message(slot: number, message: ToPrimary): void;
  /** A worker ended. `isExpected` while draining. */
  lost(slot: number, isExpected: boolean, description: string): void;
}

interface Slot {
  link: Link<ToWorker, ToPrimary>;
  /** Null for the in-process worker. */
  process: ClusterWorker | null;
  startedMs: number;
  quickDeaths: number;
  isAlive: boolean;
}

/** Keeps N workers alive. A slot is a place that a worker fills; its number stays when the worker is replaced. */
export class Supervisor {
  readonly #events: SupervisorEvents;
  readonly #listen: Listen | undefined;
  readonly #slots: Slot[] = [];
  #isStopping = false;
  restarts = 0;

  /** `listen`: of the worker inside this process. */
  constructor(events: SupervisorEvents, listen?: Listen) {
    this.#events = events;
    this.#listen = listen;
  }

  /** @param count 0 starts one worker inside this process */
  start(count: number): void {
    if (count === 0) return void this.#slots.push(this.#inProcess());
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    cluster.setupPrimary({
      exec: fileURLToPath(new URL(`./worker-entry.${extension}`, import.meta.url)),
      args: [],
      execArgv: workerFlags(process.execArgv, count >= availableParallelism()),
      serialization: 'advanced',
      // The last one is `AUDIT_FD`.
      stdio: ['inherit', 'inherit', 'inherit', 'ipc', 'pipe'],
    });
    for (let slot = 0; slot < count; slot++) this.#slots.push(this.#fork(slot, 0));
  }

  get alive(): number {
    return this.#slots.filter((slot) => slot.isAlive).length;
  }

  /** Slots whose worker is alive. */
  living(): number[] {
    return this.#slots.flatMap((slot, index) => (slot.isAlive ? [index] : []));
  }

  send(slot: number, message: ToWorker): void {
    this.#slots[slot]?.link.send(message);
  }

  broadcast(message: ToWorker): void {
    for (const slot of this.#slots) if (slot.isAlive) slot.link.send(message);
  }

  /** To all but one. */
  broadcastFrom(slot: number, message: ToWorker): void {
    for (const [index, one] of this.#slots.entries()) if (one.isAlive && index !== slot) one.link.send(message);
  }

  /** From now on the death of a worker is expected and nobody takes its place. */
  stop(): void {
    this.#isStopping = true;
  }

  /** Ends all workers at once. */
  kill(): void {
    this.#isStopping = true;
    for (const slot of this.#slots) slot.process?.process.kill('SIGKILL');
  }

  #inProcess(): Slot {
    tuneOwnProcess();
    const [near, far] = memoryLinks<ToWorker, ToPrimary>();
    const slot: Slot = { link: near, process: null, startedMs: performance.now(), quickDeaths: 0, isAlive: true };
    near.receive = (message) => this.#events.message(0, message);
    const onDone = (): void => {
      slot.isAlive = false;
      this.#events.lost(0, true, 'closed');
    };
    new Worker(far, onDone, this.#listen);
    return slot;
  }

  #fork(index: number, quickDeaths: number): Slot {
    const worker = cluster.fork(workerEnv(process.env));
    const link = channelLink<ToWorker, ToPrimary>(worker.process, asToPrimary);
    const slot: Slot = { link, process: worker, startedMs: performance.now(), quickDeaths, isAlive: true };
    link.receive = (message) => this.#events.message(index, message);
    readAuditPipe(
      worker.process.stdio[AUDIT_FD] as Readable,
      (bytes, lines, dropped) => this.#events.message(index, { type: 'audit', bytes, lines, dropped }),
      // Whatever it is, it is no worker of ours any more: another takes its place.
      () => worker.process.kill('SIGKILL'),
    );
    whenGone(worker.process, (how) => this.#onExit(index, slot, how));
    worker.on('error', () => undefined);
    return slot;
  }

  #onExit(index: number, slot: Slot, how: string): void {
    slot.isAlive = false;
    slot.link.close();
    this.#events.lost(index, this.#isStopping, how);
    if (this.#isStopping) return;
    const isStable = performance.now() - slot.startedMs > STABLE_MS;
    const quickDeaths = isStable ? 0 : slot.quickDeaths + 1;
    const waitMs = Math.min(FIRST_BACKOFF_MS * 2 ** Math.min(quickDeaths, 16), MAX_BACKOFF_MS);
    setTimeout(() => this.#replace(index, quickDeaths), waitMs);
  }

  #replace(index: number, quickDeaths: number): void {
    if (this.#isStopping) return;
    this.restarts += 1;
    this.#slots[index] = this.#fork(index, quickDeaths);
  }
}

/**
 * Calls back once the process has ended and all that it sent was read: node says `exit` without regard to the messages
 * that are still to be read, and the last ones are often the audit's.
 */
function whenGone(child: ChildProcess, done: (how: string) => void): void {
  child.once('exit', (code, signal) => {
    const finish = (): void => {
      clearTimeout(timer);
      child.off('close', finish);
      done(signal ?? `code ${code}`);
    };
    const timer = setTimeout(finish, LAST_MESSAGES_MS);
    child.once('close', finish);
  });
}
