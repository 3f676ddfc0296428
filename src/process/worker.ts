import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { systemClock } from '../core/clock.ts';
import type { Listener } from '../core/exchange.ts';
import type { ConfigSnapshot } from '../core/config.ts';
import type { ToPrimary, ToWorker } from '../core/messages.ts';
import type { SessionNews } from '../core/session-news.ts';
import { asPlaceToWorker } from '../core/place-messages.ts';
import type { PlacePort } from '../limit/place-port.ts';
import { buildGateway, type Gateway, startListeners } from '../pipeline/build.ts';
import { AuditOutlet } from './audit-outlet.ts';
import { auditPathOf, type AuditPath } from './audit-path.ts';
import { FleetView } from './fleet-view.ts';
import { LeaseThread } from './lease-thread.ts';
import { SHOWN_BUCKETS } from './limits-view.ts';
import type { Link } from './link.ts';
import { largestFrame } from './meeting-place.ts';
import { Mesh } from './mesh.ts';
import { Peers } from './peers.ts';
import { PostDesk } from './post-desk.ts';
import { killGroup } from './kill-group.ts';
import { codeOf } from './ports.ts';

/** How often idle budgets are swept. */
const SWEEP_MS = 1000;
/** How long requests that were cut off may take to be settled. */
const SETTLE_MS = 500;
/** How long a worker with a fault may take to hand over its last lines. */
const CRASH_MS = 1000;

/** Opens what clients come by; all or none. */
export type Listen = typeof startListeners;

type Start = Extract<ToWorker, { type: 'start' }>;

/**
 * One event loop of the gateway: listeners, pipeline and upstreams, driven by the primary's messages. Runs in a process of
 * its own, or inside the primary with `server.workers = 0`.
 */
export class Worker {
  readonly #link: Link<ToPrimary, ToWorker>;
  readonly #fleet: FleetView;
  readonly #outlet: AuditOutlet;
  /** Called when everything is closed; a worker process ends then. */
  readonly #onDone: () => void;
  readonly #listen: Listen;
  readonly #places: PlacePort;
  readonly #posts: PostDesk;
  #leases: LeaseThread | null = null;
  #slot = 0;
  /** There are other workers, or other hosts that are told by the store. */
  #isNewsHeard = false;
  #folders: readonly string[] = [];
  #mesh: Mesh | null = null;
  /** Null: there are no other hosts. */
  #peers: Peers | null = null;
  #gateway: Gateway | null = null;
  #listeners: readonly Listener[] = [];
  #isDraining = false;

  constructor(
    link: Link<ToPrimary, ToWorker>,
    onDone: () => void,
    listen: Listen = startListeners,
    auditPath: AuditPath = auditPathOf(link),
  ) {
    this.#link = link;
    this.#fleet = new FleetView(link);
    this.#outlet = new AuditOutlet(auditPath);
    this.#onDone = onDone;
    this.#listen = listen;
    this.#places = { send: (message) => link.send({ type: 'places', message }), receive: null };
    this.#posts = new PostDesk((message) => link.send(message));
    link.receive = (message) => this.#receive(message);
    link.send({ type: 'hello' });
  }

  /** Ends the children's process groups at once, from an exit handler: nothing asynchronous runs any more. */
  killChildren(): void {
    for (const pid of this.#gateway?.statuses().flatMap(({ pids }) => pids) ?? []) killGroup(pid);
  }

  /** The same for the folders of a primary that was killed and cannot clean up any more. */
  removeOrphanedSockets(): void {
    for (const folder of this.#folders) rmSync(folder, { recursive: true, force: true });
  }

  /** A fault that no request caught: logged, and the process ends so that a clean one takes its place. */
  crash(error: unknown): void {
    if (this.#gateway === null) process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    this.#gateway?.events.internalError('uncaught', error);
    this.#flushAudit();
    this.#link.flush(() => this.#outlet.flush(() => process.exit(70)));
    setTimeout(() => process.exit(70), CRASH_MS);
  }

  #receive(message: ToWorker): void {
    switch (message.type) {
      case 'start':
        return void this.#start(message);
      case 'fleet':
        return this.#fleet.update(message.reason, message.upstreams);
      case 'collect':
        return void this.#collect(message.ticket);
      case 'metrics_text':
        return this.#fleet.metricsAnswered(message.ticket, message.text);
      case 'collect_stderr':
        return this.#link.send({ type: 'stderr', ticket: message.ticket, servers: this.#gateway?.stderr() ?? [] });
      case 'stderr_all':
        return this.#fleet.stderrAnswered(message.ticket, message.servers);
      case 'collect_limits':
        return this.#sendLimits(message.ticket);
      case 'limits_all':
        return this.#fleet.limitsAnswered(message.ticket, message.limits);
      case 'places': {
        const place = asPlaceToWorker(message.message);
        return place === null ? undefined : this.#places.receive?.(place);
      }
      case 'post':
        return this.#gateway?.application.handleRelayed(message.post, (answer) =>
          this.#link.send({ type: 'post_answer', worker: message.worker, ticket: message.ticket, answer }),
        );
      case 'post_answer':
        return this.#posts.answered(message.ticket, message.answer);
      case 'sessions':
        return this.#gateway?.sessionNews(message.news);
      case 'server_news':
        return this.#gateway?.serverNews(message.news);
      case 'share_sessions':
        return this.#gateway?.share();
      case 'drain':
        return void this.#drain(message.delayMs, message.timeoutMs);
    }
  }

  async #start(message: Start): Promise<void> {
    this.#slot = message.worker;
    this.#isNewsHeard = message.config.server.workers > 1 || message.config.redis !== null;
    const { leases, mesh } = message;
    this.#folders = [...(leases === null ? [] : [dirname(leases.path)]), ...(mesh === null ? [] : [mesh.folder])];
    try {
      this.#mesh = mesh === null ? null : await Mesh.open(mesh, message.worker);
      this.#peers = await openPeers(message.config);
      this.#leases = leases === null ? null : new LeaseThread(leases, { failed: (error) => this.#threadFailed(error) });
      const gateway = buildGateway(message.config, {
        clock: systemClock,
        fleet: this.#fleet,
        worker: message.worker,
        verbosity: message.verbosity,
        baseEnv: process.env,
        sendAudit: (bytes, lines, dropped) => this.#outlet.send(bytes, lines, dropped),
        sealKeys: message.sealKeys,
        sendSessionNews: (news) => {
          this.#peers?.tell(news);
          this.#spreadNews(news, true);
        },
        peerNews: (news) => {
          this.#gateway?.sessionNews(news);
          this.#spreadNews(news, false);
        },
        peerPort: this.#peers,
        sendServerNews: message.config.server.workers > 1 ? (news) => this.#link.send({ type: 'server_news', news }) : null,
        leasePort: this.#leases,
        sinceDeathMs: message.sinceDeathMs,
        placePort: message.config.server.workers > 1 ? this.#places : null,
        postRelay: message.config.server.workers > 1 ? this.#posts : null,
        mesh: this.#mesh,
        onUpstreamChange: () => this.#reportUpstreams(),
      });
      this.#gateway = gateway;
      if (this.#peers !== null) this.#peers.onIncident = (what, address, reason) => gateway.events.peer(what, address, reason);
      this.#reportUpstreams();
      // The first requests need not wait for tokens in vain.
      await this.#leases?.ready();
      if (this.#isDraining) return;
      systemClock.every(SWEEP_MS, () => gateway.sweep());
      this.#listeners = await this.#listen(message.config, { main: message.port, admin: message.adminPort }, gateway, systemClock);
      const [main, admin] = this.#listeners;
      this.#link.send({ type: 'listening', port: main?.port ?? 0, adminPort: admin?.port ?? 0 });
    } catch (error) {
      await this.#fail(message, error);
    }
  }

  async #fail(message: Start, error: unknown): Promise<void> {
    const text = error instanceof Error ? error.message : String(error);
    const where = codeOf(error) === 'EADDRINUSE' ? ` (${message.config.server.host}:${message.port})` : '';
    this.#link.send({ type: 'failed', message: text + where });
    await this.#close();
  }

  /** To the other workers of this host, and what is its own to other hosts. */
  #spreadNews(news: SessionNews, isOwn: boolean): void {
    if (this.#isNewsHeard) this.#link.send({ type: 'sessions', news, isOwn });
  }

  #threadFailed(error: Error): void {
    this.#gateway?.events.internalError('sync thread', error);
  }

  #reportUpstreams(): void {
    if (this.#gateway !== null) this.#link.send({ type: 'upstreams', statuses: this.#gateway.statuses() });
  }

  async #collect(ticket: number): Promise<void> {
    const dump = this.#gateway === null ? [] : await this.#gateway.dumpMetrics(this.#connections());
    this.#link.send({ type: 'metrics', ticket, dump });
  }

  #sendLimits(ticket: number): void {
    const own = this.#gateway?.limits(SHOWN_BUCKETS) ?? { buckets: [], size: 0 };
    this.#link.send({ type: 'limits', ticket, limits: { worker: this.#slot, ...own } });
  }

  #connections(): number {
    return this.#listeners.reduce((sum, listener) => sum + listener.connections, 0);
  }

  /** Readiness false, wait, stop accepting, let requests in progress end, close upstreams, hand over the last audit lines. */
  async #drain(delayMs: number, timeoutMs: number): Promise<void> {
    if (this.#isDraining) return;
    this.#isDraining = true;
    const gateway = this.#gateway;
    if (gateway !== null) {
      gateway.load.isDraining = true;
      await sleep(Math.min(delayMs, timeoutMs));
      for (const listener of this.#listeners) listener.stopAccepting();
      gateway.leaveStreams();
      const untilMs = performance.now() + Math.max(timeoutMs - delayMs, 0);
      const peersLeft = gateway.leavePeers();
      await idle(gateway, untilMs - performance.now());
      await Promise.race([peersLeft, sleep(Math.max(untilMs - performance.now(), 0))]);
      await lastWords();
      // Requests of other workers may still need the children of this one.
      await this.#mesh?.farewell(untilMs - performance.now());
      gateway.load.isClosing = true;
    }
    await this.#close();
  }

  #flushAudit(): void {
    this.#outlet.end();
    this.#gateway?.flushAudit();
  }

  async #close(): Promise<void> {
    await this.#gateway?.close();
    this.#mesh?.close();
    this.#peers?.close();
    for (const listener of this.#listeners) listener.close();
    // A connection that is cut off may end its request a moment later: that has its record too.
    if (this.#gateway !== null) await idle(this.#gateway, SETTLE_MS);
    // Only now is no request left that could spend or give back.
    this.#gateway?.closeLimits();
    await this.#leases?.close();
    this.#flushAudit();
    this.#link.send({ type: 'drained' });
    this.#link.flush(() => this.#outlet.flush(this.#onDone));
  }
}

/** Null where sessions are relayed to no other host. @throws when it cannot listen for them */
async function openPeers({ server, ...rest }: ConfigSnapshot): Promise<Peers | null> {
  if (server.peers === null) return null;
  const { advertised, listen, secret } = server.peers;
  const maxFrameBytes = largestFrame({ server, ...rest });
  try {
    return await Peers.open({ address: advertised, listen, secret, maxFrameBytes });
  } catch (error) {
    throw new Error(`cannot listen for other hosts at ${listen.host}:${listen.port} (${codeOf(error)}): check server.peer_listen`, {
      cause: error,
    });
  }
}

/** What an engine was given to say it says in the next turns of the loop; only then may its connections be closed. */
function lastWords(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Resolves when no request is in progress, or after `timeoutMs`. Those that would go on for ever are ended in order. */
function idle(gateway: Gateway, timeoutMs: number): Promise<void> {
  for (const end of gateway.load.standing) end();
  if (gateway.load.active === 0) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, timeoutMs);
    gateway.load.onIdle = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}
