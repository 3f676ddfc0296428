import { randomBytes } from 'node:crypto';
import type { ConfigSnapshot } from '../core/config.ts';
import { systemClock } from '../core/clock.ts';
import type { MetricsDump, ServerStderr, ToPrimary, WorkerLimits } from '../core/messages.ts';
import type { RelayedPost } from '../core/post-relay.ts';
import { asPlaceToPrimary } from '../core/place-messages.ts';
import { buildPlaceHost, type PlaceHost } from '../limit/build-places.ts';
import { Collector } from './collector.ts';
import { FleetState } from './fleet-state.ts';
import { killGroup } from './kill-group.ts';
import { LimitDesk } from './limit-desk.ts';
import { type MeetingPlace, openMeetingPlace } from './meeting-place.ts';
import { NewsDesk } from './news-desk.ts';
import { mergeLimits } from './limits-view.ts';
import { StartError } from './ports.ts';
import type { PrimaryServices } from './services.ts';
import { mergeStderr } from './stderr-tails.ts';
import { Supervisor } from './supervisor.ts';
import type { Listen } from './worker.ts';

/** How long the workers may take until all listen. */
const START_TIMEOUT_MS = 30_000;
/** Beyond the drain time: closing children and flushing audit. */
const CLOSE_GRACE_MS = 3000;

const SEAL_KEY_BYTES = 32;

/** Addresses that the workers bind; ports already chosen. */
export interface Addresses {
  readonly port: number;
  /** 0 without an admin listener. */
  readonly adminPort: number;
}

/** Supervises the workers, and keeps what belongs to all of them: the audit files, the fleet's state, the metrics. */
export class Primary {
  readonly #config: ConfigSnapshot;
  readonly #addresses: Addresses;
  readonly #services: PrimaryServices;
  readonly #verbosity: number;
  readonly #supervisor: Supervisor;
  readonly #fleet: FleetState;
  readonly #metrics: Collector<MetricsDump>;
  readonly #stderr: Collector<readonly ServerStderr[]>;
  readonly #limits: Collector<WorkerLimits>;
  readonly #places: PlaceHost;
  /** Null: the one worker decides for itself. */
  #desk: LimitDesk | null = null;
  readonly #sealKeys: readonly Uint8Array[];
  /** Null: other hosts are told nothing of sessions. */
  #news: NewsDesk | null = null;
  /** Null: no worker needs another. */
  #meeting: MeetingPlace | null = null;
  readonly #diedAtMs = new Map<number, number>();
  readonly #listening = new Set<number>();
  /** Process groups of each worker's stdio children. */
  readonly #children = new Map<number, readonly number[]>();
  #started: { resolve: () => void; reject: (error: Error) => void } | null = null;
  #hasStarted = false;
  #drained: (() => void) | null = null;

  /** `listen`: how a worker inside this process hears of its clients; default by the configured listeners. */
  constructor(config: ConfigSnapshot, addresses: Addresses, services: PrimaryServices, verbosity: number, listen?: Listen) {
    this.#config = config;
    this.#addresses = addresses;
    this.#services = services;
    this.#verbosity = verbosity;
    this.#sealKeys = config.session.sealKeys?.map((key) => Buffer.from(key)) ?? [randomBytes(SEAL_KEY_BYTES)];
    this.#fleet = new FleetState(Math.max(config.server.workers, 1));
    this.#supervisor = new Supervisor(
      {
        message: (slot, message) => this.#receive(slot, message),
        lost: (slot, isExpected, how) => this.#lost(slot, isExpected, how),
      },
      listen,
    );
    this.#metrics = new Collector(this.#supervisor, (ticket) => ({ type: 'collect', ticket }));
    this.#stderr = new Collector(this.#supervisor, (ticket) => ({ type: 'collect_stderr', ticket }));
    this.#limits = new Collector(this.#supervisor, (ticket) => ({ type: 'collect_limits', ticket }));
    this.#places = buildPlaceHost(config, {
      clock: systemClock,
      send: (slot, message) => this.#supervisor.send(slot, { type: 'places', message }),
      broadcast: (message) => this.#supervisor.broadcast({ type: 'places', message }),
    });
  }

  /** Starts the workers; resolves when all of them listen. @throws StartError */
  async start(): Promise<void> {
    this.#desk = await LimitDesk.open(this.#config, this.#services.log);
    this.#services.limits = () => this.#desk?.figures() ?? null;
    this.#meeting = openMeetingPlace(this.#config);
    this.#news = await NewsDesk.open(this.#config, this.#services.log, (news) => this.#supervisor.broadcast({ type: 'sessions', news }));
    this.#services.news = () => this.#news?.figures ?? null;
    await this.#startWorkers();
  }

  #startWorkers(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#abort('the workers did not start in time'), START_TIMEOUT_MS);
      this.#started = {
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.#supervisor.start(this.#config.server.workers);
    });
  }

  /** Drains all workers; resolves when they are gone, at the latest a grace after the drain time. */
  drain(): Promise<void> {
    this.#supervisor.stop();
    const { drainDelayMs, drainTimeoutMs } = this.#config.server;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#drained?.(), drainTimeoutMs + CLOSE_GRACE_MS);
      this.#drained = () => {
        clearTimeout(timer);
        this.kill();
        resolve();
      };
      this.#supervisor.broadcast({ type: 'drain', delayMs: drainDelayMs, timeoutMs: drainTimeoutMs });
      if (this.#supervisor.alive === 0) this.#drained();
    });
  }

  /** Ends everything at once: the workers, and the children that a killed worker leaves behind. */
  kill(): void {
    this.#supervisor.kill();
    for (const pid of [...this.#children.values()].flat()) killGroup(pid);
  }

  /** After `drain`, or a start that failed: gives back what is leased from the store. */
  async close(): Promise<void> {
    this.#places.close();
    this.#meeting?.close();
    await this.#news?.close();
    await this.#desk?.close();
  }

  #abort(message: string): void {
    const started = this.#started;
    this.#started = null;
    this.kill();
    started?.reject(new StartError(message));
  }

  #receive(slot: number, message: ToPrimary): void {
    switch (message.type) {
      case 'hello':
        return this.#sendStart(slot);
      case 'listening':
        return this.#onListening(slot);
      case 'failed':
        return this.#onFailed(slot, message.message);
      case 'upstreams':
        this.#children.set(
          slot,
          message.statuses.flatMap(({ pids }) => pids),
        );
        this.#fleet.report(slot, message.statuses);
        return this.#announceFleet();
      case 'audit':
        return this.#services.audit(message.bytes, message.lines, message.dropped);
      case 'ask_metrics':
        return void this.#answerMetrics(slot, message.ticket);
      case 'metrics':
        return this.#metrics.receive(slot, message.ticket, message.dump);
      case 'ask_stderr':
        return void this.#answerStderr(slot, message.ticket);
      case 'stderr':
        return this.#stderr.receive(slot, message.ticket, message.servers);
      case 'ask_limits':
        return void this.#answerLimits(slot, message.ticket);
      case 'limits':
        return this.#limits.receive(slot, message.ticket, message.limits);
      case 'places': {
        const place = asPlaceToPrimary(message.message);
        return place === null ? undefined : this.#places.receive(slot, place);
      }
      case 'post':
        return this.#passPost(slot, message.worker, message.ticket, message.post);
      case 'post_answer':
        return this.#supervisor.send(message.worker, { type: 'post_answer', ticket: message.ticket, answer: message.answer });
      case 'sessions':
        if (message.isOwn) this.#news?.add(message.news);
        return this.#supervisor.broadcastFrom(slot, { type: 'sessions', news: message.news });
      case 'server_news':
        return this.#supervisor.broadcastFrom(slot, { type: 'server_news', news: message.news });
      case 'drained':
        return;
    }
  }

  /** Between two workers; one that is not there is answered for. */
  #passPost(from: number, worker: number, ticket: number, post: RelayedPost): void {
    if (this.#supervisor.living().includes(worker)) this.#supervisor.send(worker, { type: 'post', worker: from, ticket, post });
    else this.#supervisor.send(from, { type: 'post_answer', ticket, answer: null });
  }

  #sendStart(slot: number): void {
    if (this.#hasStarted) this.#supervisor.broadcastFrom(slot, { type: 'share_sessions' });
    const diedAtMs = this.#diedAtMs.get(slot);
    this.#supervisor.send(slot, {
      type: 'start',
      worker: slot,
      config: this.#config,
      ...this.#addresses,
      verbosity: this.#verbosity,
      sealKeys: this.#sealKeys,
      leases: this.#desk?.admit(slot) ?? null,
      mesh: this.#meeting?.access ?? null,
      sinceDeathMs: diedAtMs === undefined ? null : systemClock.nowMs() - diedAtMs,
    });
  }

  #onListening(slot: number): void {
    this.#listening.add(slot);
    if (this.#hasStarted) this.#news?.reread();
    if (this.#listening.size >= Math.max(this.#config.server.workers, 1) && this.#started !== null) {
      this.#hasStarted = true;
      this.#started.resolve();
      this.#started = null;
    }
    this.#announceFleet();
  }

  #onFailed(slot: number, message: string): void {
    if (this.#hasStarted) return this.#services.log.error({ worker: slot }, `worker could not start: ${message}`);
    this.#abort(message);
  }

  #lost(slot: number, isExpected: boolean, how: string): void {
    this.#listening.delete(slot);
    this.#fleet.forget(slot);
    this.#metrics.forget(slot);
    this.#stderr.forget(slot);
    this.#limits.forget(slot);
    this.#places.lost(slot);
    this.#desk?.dismiss(slot);
    this.#diedAtMs.set(slot, systemClock.nowMs());
    for (const pid of this.#children.get(slot) ?? []) killGroup(pid);
    this.#children.delete(slot);
    if (isExpected) {
      if (this.#supervisor.alive === 0) this.#drained?.();
      return;
    }
    this.#services.log.error({ worker: slot }, `worker ended (${how}), starting another`);
    this.#announceFleet();
  }

  #announceFleet(): void {
    const reason = this.#fleet.reason(this.#hasStarted);
    this.#supervisor.broadcast({ type: 'fleet', reason, upstreams: this.#fleet.upstreams() });
  }

  async #answerMetrics(slot: number, ticket: number): Promise<void> {
    const dumps = await this.#metrics.collect();
    const text = await this.#services.metricsText(dumps, { alive: this.#supervisor.alive, restarts: this.#supervisor.restarts });
    this.#supervisor.send(slot, { type: 'metrics_text', ticket, text });
  }

  async #answerStderr(slot: number, ticket: number): Promise<void> {
    const servers = mergeStderr(await this.#stderr.collect());
    this.#supervisor.send(slot, { type: 'stderr_all', ticket, servers });
  }

  async #answerLimits(slot: number, ticket: number): Promise<void> {
    const limits = mergeLimits(await this.#limits.collect(), this.#desk?.figures().authority ?? null);
    this.#supervisor.send(slot, { type: 'limits_all', ticket, limits });
  }
}
