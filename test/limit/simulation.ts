import type { Charge, LimitAuthority, LimitOutcome } from '../../src/core/limit.ts';
import { Breaker } from '../../src/limit/breaker.ts';
import { applyGrant, leaseMemory } from '../../src/limit/lease-memory.ts';
import type { LeaseAnswers, LeaseBatch, LeaseClient, LeasePort, SlotAnswer } from '../../src/limit/lease-port.ts';
import { LeasedLimiter } from '../../src/limit/leased-limiter.ts';
import { LocalShare } from '../../src/limit/local-share.ts';
import { MemoryAuthority } from '../../src/limit/memory-authority.ts';
import { SimClock, SimThread } from './sim-clock.ts';
import { randomOf } from './sim-plan.ts';
import type { Fault, Parts, Plan, Run, WorkerFault } from './sim-plan.ts';

interface Counted {
  readonly ms: number;
  readonly tokens: number;
  isCounted: boolean;
}

/** Real limiters and a real authority, joined by a simulated network under a simulated clock. */
export class Simulation {
  readonly clock: SimClock = new SimClock();
  readonly plan: Plan;
  readonly parts: Parts;
  readonly random: () => number;
  readonly primary: SimThread;
  readonly authority: LimitAuthority;
  readonly #workers: SimWorker[] = [];
  readonly #taken: Counted[][];
  readonly #charges: readonly Charge[];
  #requests = 0;
  #longestWaitMs = 0;
  #open = 0;
  #shared = 0;
  #asks = 0;
  #timeouts = 0;

  constructor(plan: Plan, parts: Parts = {}) {
    this.plan = plan;
    this.parts = parts;
    this.random = randomOf(plan.seed);
    this.primary = new SimThread(this.clock, 0);
    const options = { holders: plan.workers, capacity: 64, idleTtlMs: 300, clock: this.primary };
    this.authority = parts.authority?.(options) ?? new MemoryAuthority(options);
    this.authority.startRecalls?.((holder, key, recall) => this.#workers[holder]?.link.recall(key, recall) === true);
    this.#charges = plan.specs.map((spec, i) => ({ limit: 'principal', key: `k${i}`, spec, tokens: 1 }));
    this.#taken = plan.specs.map(() => []);
    for (let slot = 0; slot < plan.workers; slot++) this.#workers.push(this.#start(slot));
  }

  run(): Run {
    const { plan } = this;
    for (const fault of plan.faults) this.clock.at(1_000 + fault.atMs, () => this.#inject(fault));
    const endMs = 1_000 + plan.durationMs;
    this.#demand(endMs);
    this.primary.every(250, () => this.authority.sweep(this.primary.nowMs()));
    this.clock.runUntil(endMs);
    // Whoever waits still is answered, one way or the other.
    this.clock.runUntil(endMs + 2_000);
    for (const worker of this.#workers) this.#retire(worker);
    const admissions = this.#taken.map((list) => list.filter(({ isCounted }) => isCounted));
    return {
      admissions,
      requests: this.#requests,
      asks: this.#asks,
      timeouts: this.#timeouts,
      longestWaitMs: this.#longestWaitMs,
      forgotten: this.#open,
      sharedAdmissions: this.#shared,
    };
  }

  /** One-way, mostly short, sometimes as long as the plan allows. */
  delay(): number {
    const draw = this.random();
    return draw < 0.9 ? 0.05 + draw * 0.2 : 0.05 + this.random() * this.plan.delayMs;
  }

  #start(slot: number): SimWorker {
    return new SimWorker(this, slot, this.random() * 1e6);
  }

  #retire(worker: SimWorker): void {
    const { asks, timeouts } = worker.limiter.stats();
    this.#asks += asks;
    this.#timeouts += timeouts;
    worker.thread.isDead = true;
  }

  #demand(endMs: number): void {
    const { demand, burst, rushes = [] } = this.plan;
    for (const { atMs, requests, withinMs } of rushes) {
      for (let i = 0; i < requests; i++) this.clock.at(1_000 + atMs + this.random() * withinMs, () => this.#request());
    }
    const next = (): void => {
      const gapMs = (-Math.log(1 - this.random()) * 1000) / demand;
      const atMs = this.clock.nowMs + gapMs;
      if (atMs < endMs) this.clock.at(atMs, () => (this.#request(), next()));
    };
    if (demand > 0) next();
    const gush = (): void => {
      for (let i = 0; i < burst; i++) this.#request();
      const atMs = this.clock.nowMs + 20 + this.random() ** 2 * 2_000;
      if (atMs < endMs) this.clock.at(atMs, gush);
    };
    if (burst > 0) this.clock.at(this.clock.nowMs + this.random() * 500, gush);
  }

  /** At a random worker; the first ones are likelier. */
  #request(): void {
    const worker = this.#workers[Math.floor(this.random() ** 1.5 * this.plan.workers)] as SimWorker;
    if (worker.thread.isDead || worker.thread.isStopped) return;
    this.#requests++;
    worker.request(this.#chargesOf(), this.random() < (this.plan.givenBack?.part ?? 0));
  }

  #chargesOf(): readonly Charge[] {
    const draw = this.random();
    const index = Math.floor(this.random() * this.#charges.length);
    const charge = this.#charges[index] as Charge;
    if (this.plan.givenBack === undefined) return [charge];
    if (draw < 0.15) return [{ ...charge, tokens: 1 + Math.floor(this.random() * 3) }];
    return draw < 0.4 && index + 1 < this.#charges.length ? [charge, this.#charges[index + 1] as Charge] : [charge];
  }

  /** A request was admitted. Returns what undoes that. */
  admitted(charges: readonly Charge[], mode: string): () => void {
    const counted = charges.map(({ key, tokens }) => {
      const entry = { ms: this.clock.nowMs, tokens, isCounted: true };
      this.#taken[Number(key.slice(1))]?.push(entry);
      return entry;
    });
    if (mode === 'local') this.#shared++;
    return () => {
      for (const entry of counted) entry.isCounted = false;
    };
  }

  waits(change: number, tookMs: number): void {
    this.#open += change;
    this.#longestWaitMs = Math.max(this.#longestWaitMs, tookMs);
  }

  #inject(fault: Fault): void {
    if (fault.kind === 'hang' || fault.kind === 'outage') {
      if (fault.kind === 'hang') this.primary.stop(fault.forMs);
      else for (const worker of this.#workers) worker.link.cut(fault.forMs);
      return;
    }
    this.#injectInto(fault as WorkerFault);
  }

  #injectInto(fault: WorkerFault): void {
    const slot = fault.worker % this.plan.workers;
    const worker = this.#workers[slot] as SimWorker;
    if (worker.thread.isDead) return;
    if (fault.kind === 'stop') return worker.stop(fault.forMs);
    if (fault.kind === 'cut') return worker.link.cut(fault.forMs);
    this.#retire(worker);
    worker.abandon();
    worker.link.cut(Number.POSITIVE_INFINITY);
    this.primary.after(fault.forMs, () => {
      worker.link.dismiss();
      this.authority.lost(slot);
      this.#workers[slot] = this.#start(slot);
    });
  }
}

/** A worker process with its limiter. */
class SimWorker {
  readonly thread: SimThread;
  readonly link: SimLink;
  readonly limiter: LeasedLimiter;
  readonly #simulation: Simulation;
  #waiting = 0;
  #hasStopped = false;

  constructor(simulation: Simulation, slot: number, offsetMs: number) {
    this.#simulation = simulation;
    this.thread = new SimThread(simulation.clock, offsetMs);
    this.link = new SimLink(simulation, slot, this.thread);
    const { plan, parts } = simulation;
    this.limiter = new LeasedLimiter({
      capacity: plan.capacity ?? 16,
      idleTtlMs: plan.idleTtlMs ?? 200,
      workers: plan.workers,
      share: parts.share?.(plan.workers) ?? new LocalShare(plan.workers),
      port: this.link,
      clock: this.thread,
      breaker: new Breaker({ random: simulation.random }),
      hasRecalls: true,
    });
    this.thread.every(150, () => this.limiter.sweep(this.thread.nowMs()));
  }

  stop(forMs: number): void {
    this.#hasStopped = true;
    this.thread.stop(forMs);
    // A stopped process: its sync thread stands still as well. Half of the time only the event loop is busy.
    if (this.#simulation.random() < 0.5) this.link.stop(forMs);
  }

  /** Nobody waits for what a dead worker owes. */
  abandon(): void {
    this.#simulation.waits(-this.#waiting, 0);
  }

  request(charges: readonly Charge[], isGivenBack: boolean): void {
    const startMs = this.#simulation.clock.nowMs;
    const take = this.limiter.take(charges, this.thread.nowMs(), OUT);
    if (take === 'unknown') {
      this.#waiting++;
      this.#simulation.waits(1, 0);
      this.limiter.whenKnown(charges, () => this.#again(charges, startMs, isGivenBack));
    } else if (take === 'taken') this.#admit(charges, isGivenBack);
  }

  #again(charges: readonly Charge[], startMs: number, isGivenBack: boolean): void {
    const take = this.limiter.take(charges, this.thread.nowMs(), OUT);
    if (take === 'unknown') return this.limiter.whenKnown(charges, () => this.#again(charges, startMs, isGivenBack));
    this.#waiting--;
    this.#simulation.waits(-1, this.#hasStopped ? 0 : this.#simulation.clock.nowMs - startMs);
    if (take === 'taken') this.#admit(charges, isGivenBack);
  }

  #admit(charges: readonly Charge[], isGivenBack: boolean): void {
    const takenMs = this.thread.nowMs();
    const undo = this.#simulation.admitted(charges, OUT.mode);
    if (!isGivenBack) return;
    this.thread.after(this.#simulation.random() * (this.#simulation.plan.givenBack?.withinMs ?? 0), () => {
      undo();
      const nowMs = this.thread.nowMs();
      this.limiter.giveBack(charges, nowMs, this.#simulation.parts.isGivenBackInFull === true ? nowMs + 1e-3 : takenMs);
    });
  }
}

const OUT: LimitOutcome = {
  isAllowed: false,
  decidedBy: 'principal',
  limit: 0,
  remaining: 0,
  resetSecs: 0,
  retryAfterSecs: 0,
  mode: 'remote',
};

/** The sync thread and its connection: in order, may be late, may be cut with everything that is on the way. */
class SimLink implements LeasePort {
  readonly #simulation: Simulation;
  readonly #holder: number;
  readonly #loop: SimThread;
  readonly #thread: SimThread;
  #client: LeaseClient | null = null;
  #connection = 1;
  #isConnected = true;
  #isDismissed = false;
  /** Earliest arrivals, so that nothing overtakes. */
  #upMs = 0;
  #downMs = 0;
  #loopMs = 0;

  constructor(simulation: Simulation, holder: number, loop: SimThread) {
    this.#simulation = simulation;
    this.#holder = holder;
    this.#loop = loop;
    this.#thread = new SimThread(simulation.clock, 0);
  }

  attach(client: LeaseClient): void {
    this.#client = client;
  }

  afterTurn(flush: () => void): void {
    this.#loop.after(0.01, flush);
  }

  stop(forMs: number): void {
    this.#thread.stop(forMs);
  }

  /** Nothing that is still on the way is heard. */
  dismiss(): void {
    this.#isDismissed = true;
  }

  send(batch: LeaseBatch): void {
    if (!this.#isConnected) return;
    const connection = this.#connection;
    this.#upMs = Math.max(this.#upMs, this.#simulation.clock.nowMs + this.#simulation.delay());
    // What the primary's kernel has already received is read even after the worker's end is gone.
    const isRead = this.#simulation.random() < 0.5;
    this.#simulation.primary.at(this.#upMs, () => {
      if (this.#isDismissed && this.#simulation.parts.isOldHeard !== true) return;
      const isOld = connection !== this.#connection;
      if (isOld && this.#simulation.parts.isOldHeard !== true && (this.#isConnected || !isRead)) return;
      this.#handle(batch, connection);
    });
  }

  /** In the primary. Not before what was granted. */
  recall(key: string, recall: number): boolean {
    if (!this.#isConnected) return false;
    const connection = this.#connection;
    const isEarly = this.#simulation.parts.isRecallEarly === true;
    const atMs = Math.max(isEarly ? 0 : this.#downMs, this.#simulation.clock.nowMs + this.#simulation.delay());
    if (!isEarly) this.#downMs = atMs;
    this.#thread.at(atMs, () => {
      if (connection !== this.#connection) return;
      this.#toLoop(() => this.#client?.recalled([{ key, recall }]));
    });
    return true;
  }

  cut(forMs: number): void {
    if (!this.#isConnected) return;
    this.#isConnected = false;
    this.#connection++;
    // Another connection is another stream: it may well overtake what this one still has on the way.
    this.#upMs = this.#downMs = 0;
    this.#toLoop(() => this.#client?.disconnected());
    if (forMs === Number.POSITIVE_INFINITY) return;
    this.#thread.after(forMs, () => {
      this.#isConnected = true;
      this.#toLoop(() => this.#client?.connected());
    });
  }

  /** In the primary. */
  #handle(batch: LeaseBatch, connection: number): void {
    const { authority } = this.#simulation;
    if (batch.isReset) authority.lost(this.#holder);
    authority.heard(this.#holder, batch.stamp);
    for (const { key, tokens, have, recall } of batch.returns) {
      authority.giveBack(this.#holder, key, tokens, have);
      if (recall > 0) authority.recalled?.(this.#holder, key, recall);
    }
    let isOver = false;
    const answers: SlotAnswer[] = [];
    for (const ask of batch.asks) {
      authority.ask(this.#holder, ask, (given) => {
        const answer = { ...given, slot: ask.slot, generation: ask.generation };
        if (!isOver) answers.push(answer);
        else this.#answer({ stamp: authority.stampFor(this.#holder), sentMs: batch.sentMs, answers: [answer] }, connection);
      });
    }
    isOver = true;
    if (this.#simulation.random() < 0.3) answers.reverse();
    const isSplit = answers.length > 1 && this.#simulation.random() < 0.3;
    for (const part of isSplit ? [answers.slice(0, 1), answers.slice(1)] : [answers]) {
      this.#answer({ stamp: authority.stampFor(this.#holder), sentMs: batch.sentMs, answers: part }, connection);
    }
  }

  #answer(answers: LeaseAnswers, connection: number): void {
    const { parts } = this.#simulation;
    this.#downMs = Math.max(this.#downMs, this.#simulation.clock.nowMs + this.#simulation.delay());
    this.#thread.at(this.#downMs, () => {
      if (connection !== this.#connection && parts.isLateApplied !== true) return;
      const memory = leaseMemory((this.#client as LeaseClient).buffer);
      for (const { slot, generation, granted } of answers.answers) (parts.grant ?? applyGrant)(memory, slot, generation, granted);
      this.#toLoop(() => this.#client?.answered(answers));
    });
  }

  #toLoop(run: () => void): void {
    this.#loopMs = Math.max(this.#loopMs, this.#simulation.clock.nowMs + this.#simulation.random() * 0.1);
    this.#loop.at(this.#loopMs, run);
  }
}
