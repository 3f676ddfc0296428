import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { LeaseAccess } from '../core/messages.ts';
import type { LeaseBatch, LeaseClient, LeasePort } from '../limit/lease-port.ts';
import { HEADER_BYTES } from './frames.ts';
import { readAnswers, readRecalls } from './lease-answers.ts';
import { writeBatch } from './lease-batches.ts';
import { CONNECTION_BYTES, type FromSyncThread, type SyncThreadData, type ToSyncThread } from './sync-thread.ts';

/** A thread that leaves more than this unread is stuck. */
const MAX_BACKLOG_BYTES = 4_194_304;
/** Wait before a dead thread's successor is started: doubles with each quick death. */
const FIRST_BACKOFF_MS = 50;
const MAX_BACKOFF_MS = 5000;
const STABLE_MS = 10_000;
/** How long a new worker waits for the authority before it lets requests in. */
const READY_MS = 1000;
/** How long the last batch may take to leave. */
const CLOSE_MS = 500;
/** It holds a few kilobytes; what is large is V8's own share. */
const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 16, codeRangeSizeMb: 4, stackSizeMb: 1 };

export interface LeaseThreadEvents {
  /** The thread died of an error; another is being started. */
  failed(error: Error): void;
}

/** How the way to the authority is. */
export interface LeaseThreadStats {
  readonly isConnected: boolean;
  /** Connections lost so far, with those that a dead thread had. */
  readonly disconnects: number;
  /** Threads that took the place of a dead one. */
  readonly restarts: number;
}

/** The event loop's end of the way to the authority: batches go through the sync thread, which is kept alive. */
export class LeaseThread implements LeasePort {
  readonly #access: LeaseAccess;
  readonly #events: LeaseThreadEvents;
  #client: LeaseClient | null = null;
  #thread: Worker | null = null;
  /** Number of the thread's connection; 0 = none. */
  #connection = 0;
  #sentBytes = 0;
  #taken = new Int32Array(new SharedArrayBuffer(4));
  #startedMs = 0;
  #quickDeaths = 0;
  #disconnects = 0;
  #restarts = 0;
  #isClosed = false;
  #onReady: () => void = () => undefined;
  readonly #ready: Promise<void> = new Promise((resolve) => {
    this.#onReady = resolve;
  });

  constructor(access: LeaseAccess, events: LeaseThreadEvents) {
    this.#access = access;
    this.#events = events;
  }

  get stats(): LeaseThreadStats {
    return { isConnected: this.#connection !== 0, disconnects: this.#disconnects, restarts: this.#restarts };
  }

  /** Starts the thread. Once, before anything is sent. */
  attach(client: LeaseClient): void {
    this.#client = client;
    this.#start();
  }

  /** Resolves when the authority has answered for the first time, or after a second: then there is an outage to be served through. */
  async ready(): Promise<void> {
    const { promise: timeIsUp, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, READY_MS);
    await Promise.race([this.#ready, timeIsUp]);
    clearTimeout(timer);
  }

  afterTurn(flush: () => void): void {
    setImmediate(flush);
  }

  send(batch: LeaseBatch): void {
    const thread = this.#thread;
    if (thread === null || this.#connection === 0) return;
    const message = writeBatch(batch, CONNECTION_BYTES + HEADER_BYTES);
    const view = new DataView(message.buffer);
    view.setUint32(0, this.#connection, true);
    view.setUint32(CONNECTION_BYTES, message.length - CONNECTION_BYTES - HEADER_BYTES, true);
    this.#sentBytes = (this.#sentBytes + message.length) | 0;
    thread.postMessage(message satisfies ToSyncThread);
    if (((this.#sentBytes - Atomics.load(this.#taken, 0)) | 0) > MAX_BACKLOG_BYTES) this.kill();
  }

  /** Ends a thread that is stuck. Its end is seen as that of any other: the limiter learns of it, and another is started. */
  kill(): void {
    void this.#thread?.terminate();
  }

  /** Lets what was sent leave, and ends the thread. Resolves at the latest after half a second. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const thread = this.#thread;
    if (thread === null) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, CLOSE_MS);
      thread.once('exit', () => {
        clearTimeout(timer);
        resolve();
      });
      thread.postMessage(null satisfies ToSyncThread);
    });
    await thread.terminate();
  }

  #start(): void {
    const client = this.#client;
    if (client === null || this.#isClosed) return;
    this.#taken = new Int32Array(new SharedArrayBuffer(4));
    this.#sentBytes = 0;
    this.#startedMs = performance.now();
    const data: SyncThreadData = { access: this.#access, buffer: client.buffer, taken: this.#taken.buffer };
    const thread = new Worker(threadFile(), { workerData: data, resourceLimits: RESOURCE_LIMITS, env: {}, name: 'sync' });
    this.#thread = thread;
    // Listeners keep the thread's port alive: it must not keep the process.
    thread.on('message', (message: FromSyncThread) => this.#receive(message));
    thread.on('error', (error) => this.#events.failed(error));
    thread.once('exit', () => this.#exited());
    thread.unref();
  }

  #receive(message: FromSyncThread): void {
    if (typeof message !== 'number') {
      this.#receiveFrame(message);
    } else if (message === 0) {
      this.#disconnected();
    } else {
      this.#connection = message;
      this.#client?.connected();
    }
  }

  #receiveFrame(frame: Uint8Array): void {
    const recalls = readRecalls(frame);
    if (recalls !== null) return this.#client?.recalled(recalls);
    const answers = readAnswers(frame);
    if (answers === null) return;
    this.#client?.answered(answers);
    this.#onReady();
  }

  #disconnected(): void {
    if (this.#connection === 0) return;
    this.#connection = 0;
    this.#disconnects += 1;
    this.#client?.disconnected();
  }

  #exited(): void {
    this.#thread = null;
    this.#disconnected();
    if (this.#isClosed) return;
    this.#quickDeaths = performance.now() - this.#startedMs > STABLE_MS ? 0 : this.#quickDeaths + 1;
    const waitMs = Math.min(FIRST_BACKOFF_MS * 2 ** Math.min(this.#quickDeaths, 16), MAX_BACKOFF_MS);
    setTimeout(() => this.#restart(), waitMs).unref();
  }

  #restart(): void {
    if (this.#isClosed) return;
    this.#restarts += 1;
    this.#start();
  }
}

function threadFile(): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return fileURLToPath(new URL(`../../workers/sync.${extension}`, import.meta.url));
}
