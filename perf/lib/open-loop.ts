import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { Histogram } from './histogram.ts';
import { ID } from './plan.ts';
import type { RequestPlan } from './plan.ts';
import { ResponseReader } from './response-reader.ts';
import { Standstill } from './standstill.ts';
import { Verifier } from './verify.ts';

export interface OpenLoopJob {
  readonly host: string;
  readonly port: number;
  /** Fixed heads, one per caller; `headsOf` of the plan. */
  readonly heads: readonly string[];
  readonly plan: RequestPlan;
  readonly perSec: number;
  readonly secs: number;
  /** Before `secs`, at the same rate: no latency or lag of it counts. The generator itself is slow until V8 has compiled it. */
  readonly leadInSecs?: number;
  readonly connections: number;
  /** Keeps when each answer came, and takes refusals by a limit as answers too. */
  readonly isTraced?: boolean;
}

/** When the request should have been sent (Unix time), how long its answer took from then but for what the generator stood still, and the status of that. */
export type TracedAnswer = readonly [dueMs: number, ms: number, status: number];

export interface OpenLoopResult {
  /** With those of the lead-in, as are `wrong` and `cpuUs`. */
  readonly requests: number;
  readonly wrong: number;
  readonly example: string;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  /** How late the generator itself sent, whatever the server did, 99th percentile. */
  readonly lagP99Ms: number;
  readonly cpuUs: number;
  /** In the order of their coming; empty unless they were to be kept. */
  readonly answers: readonly TracedAnswer[];
}

/** What limits refuse with: too much, or nobody could be asked. */
const REFUSALS: readonly number[] = [429, 503];
/** Longest sleep in one go: answers that arrive meanwhile are noticed that much later. */
const MAX_SLEEP_MS = 0.1;
const SETTLE_TIMEOUT_MS = 10_000;

interface Connection {
  readonly socket: Socket;
  id: string;
  intendedMs: number;
  /** When it was noticed to be due, on the clock of `Standstill`. */
  seenMs: number;
}

interface Due {
  readonly intendedMs: number;
  readonly seenMs: number;
}

/**
 * Sends requests at a constant rate, whatever the server does: a slow server finds more and more of them waiting, and the wait is
 * part of their latency, which counts from the moment each should have been sent. Waiting requests take the connection
 * that is idle longest.
 */
export class OpenLoop {
  readonly #job: OpenLoopJob;
  readonly #body: readonly string[];
  readonly #verifier: Verifier;
  readonly #latency = new Histogram();
  readonly #lag = new Histogram();
  readonly #idle: Connection[] = [];
  readonly #waiting: Due[] = [];
  readonly #answers: TracedAnswer[] = [];
  readonly #standstill = new Standstill();
  readonly #sleepCell = new Int32Array(new SharedArrayBuffer(4));
  #countFromMs = 0;
  #due = 0;
  #sent = 0;
  #answered = 0;
  #wrong = 0;
  #example = '';
  #failure: Error | null = null;

  constructor(job: OpenLoopJob) {
    this.#job = job;
    this.#body = job.plan.body.split(ID);
    this.#verifier = new Verifier(job.plan);
  }

  /** Rejects when a connection breaks or answers stay away. */
  async run(): Promise<OpenLoopResult> {
    const { connections, perSec, secs, leadInSecs = 0 } = this.#job;
    sharpenTimers();
    for (let i = 0; i < connections; i++) this.#idle.push(await this.#connect());
    const cpuBefore = process.cpuUsage();
    await this.#loop(Math.round(perSec * (leadInSecs + secs)));
    const { user, system } = process.cpuUsage(cpuBefore);
    return this.#result(user + system);
  }

  async #loop(total: number): Promise<void> {
    const stepMs = 1_000 / this.#job.perSec;
    const startMs = performance.now() + 20;
    this.#countFromMs = startMs + (this.#job.leadInSecs ?? 0) * 1_000;
    const deadlineMs = startMs + total * stepMs + SETTLE_TIMEOUT_MS;
    await new Promise<void>((resolve, reject) => {
      const turn = (): void => {
        const nowMs = performance.now();
        this.#standstill.look(nowMs);
        for (; this.#due < total && startMs + this.#due * stepMs <= nowMs; this.#due++) this.#dispatch(startMs + this.#due * stepMs);
        if (this.#failure !== null) return reject(this.#failure);
        if (this.#answered === total) return resolve();
        if (nowMs > deadlineMs) return reject(new Error(`${total - this.#answered} of ${total} answers stayed away`));
        this.#sleep(this.#due < total ? startMs + this.#due * stepMs : nowMs + MAX_SLEEP_MS);
        setImmediate(turn);
      };
      turn();
    });
  }

  /** Timers of the event loop have whole milliseconds; between sends, and between looks at the sockets, the thread sleeps. */
  #sleep(untilMs: number): void {
    const waitMs = Math.min(untilMs - performance.now(), MAX_SLEEP_MS);
    if (waitMs > 0) Atomics.wait(this.#sleepCell, 0, 0, waitMs);
  }

  /** The lag is the generator's own: how late it came to look, not how long the request then waited for a connection. */
  #dispatch(intendedMs: number): void {
    const nowMs = performance.now();
    this.#standstill.look(nowMs);
    if (intendedMs >= this.#countFromMs) this.#lag.record((nowMs - intendedMs) * 1_000);
    const due = { intendedMs, seenMs: this.#standstill.at(nowMs) };
    const connection = this.#idle.shift();
    if (connection === undefined) this.#waiting.push(due);
    else this.#send(connection, due);
  }

  #send(connection: Connection, { intendedMs, seenMs }: Due): void {
    const { heads } = this.#job;
    connection.id = String(1_000_000_000 + this.#sent);
    connection.intendedMs = intendedMs;
    connection.seenMs = seenMs;
    connection.socket.write(`${heads[this.#sent++ % heads.length]}${this.#body.join(connection.id)}`, 'latin1');
  }

  #onResponse(connection: Connection, status: number, body: string): void {
    const nowMs = performance.now();
    if (connection.intendedMs >= this.#countFromMs) this.#latency.record((nowMs - connection.intendedMs) * 1_000);
    this.#answered += 1;
    const isTraced = this.#job.isTraced === true;
    if (isTraced)
      this.#answers.push([performance.timeOrigin + connection.intendedMs, this.#standstill.at(nowMs) - connection.seenMs, status]);
    if (!(isTraced && REFUSALS.includes(status)) && !this.#verifier.isRight(status, body, connection.id)) {
      this.#wrong += 1;
      this.#example ||= `${status} ${body.slice(0, 200)}`;
    }
    const due = this.#waiting.shift();
    if (due === undefined) this.#idle.push(connection);
    else this.#send(connection, due);
  }

  async #connect(): Promise<Connection> {
    const { host, port } = this.#job;
    const socket = connect({ host, port, noDelay: true });
    const connection: Connection = { socket, id: '', intendedMs: 0, seenMs: 0 };
    const reader = new ResponseReader((status, body) => this.#onResponse(connection, status, body));
    const fail = (error: Error): void => void (this.#failure ??= error);
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    socket.on('error', fail);
    socket.on('close', () => fail(new Error('the server closed a connection')));
    socket.on('data', (chunk) => {
      try {
        reader.push(chunk);
      } catch (error) {
        fail(error as Error);
      }
    });
    return connection;
  }

  #result(cpuUs: number): OpenLoopResult {
    const percentileMs = (percent: number): number => this.#latency.percentileUs(percent) / 1_000;
    return {
      requests: this.#answered,
      wrong: this.#wrong,
      example: this.#example,
      p50Ms: percentileMs(50),
      p90Ms: percentileMs(90),
      p99Ms: percentileMs(99),
      p999Ms: percentileMs(99.9),
      maxMs: this.#latency.maxUs / 1_000,
      lagP99Ms: this.#lag.percentileUs(99) / 1_000,
      cpuUs,
      answers: this.#answers,
    };
  }
}

/** Linux wakes a sleeping thread up to 50 µs late to save power; this one asks it not to. */
function sharpenTimers(): void {
  writeFileSync('/proc/self/timerslack_ns', '1000');
}
