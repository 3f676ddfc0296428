import { compileRedaction } from '../audit/redact.ts';
import { configuredSecrets } from '../audit/secrets.ts';
import { type SendAudit, WorkerSink } from '../audit/worker-sink.ts';
import { buildAuthenticator, buildAuthSurface } from '../auth/build.ts';
import type { Clock } from '../core/clock.ts';
import type { ConfigSnapshot } from '../core/config.ts';
import type { Events } from '../core/events.ts';
import type { Listener } from '../core/exchange.ts';
import type { PostRelay } from '../core/post-relay.ts';
import type { Fleet } from '../core/fleet.ts';
import type { MeshPort } from '../core/mesh.ts';
import type { MetricsDump, ServerStderr, UpstreamStatus, WorkerLimits } from '../core/messages.ts';
import type { PeerPort } from '../core/peers.ts';
import type { ServerNews } from '../core/server-news.ts';
import type { SessionNews } from '../core/session-news.ts';
import type { UpstreamEvents } from '../core/upstream.ts';
import { VERSION } from '../core/version.ts';
import { buildLimiter } from '../limit/build.ts';
import { buildPlaces } from '../limit/build-places.ts';
import type { LeasePort } from '../limit/lease-port.ts';
import type { PlacePort } from '../limit/place-port.ts';
import { startListener } from '../listener/build.ts';
import { listenerSettings } from '../listener/settings.ts';
import { dumpMetrics } from '../observe/aggregate.ts';
import { buildEvents, type ObservedEvents } from '../observe/events.ts';
import { createLog } from '../observe/log.ts';
import type { CarrierStats } from '../observe/limit-counts.ts';
import { Metrics } from '../observe/metrics.ts';
import { accessCompiler } from '../policy/compile.ts';
import { compileSelection } from '../policy/selection.ts';
import { compileToolIndex } from '../policy/tool-index.ts';
import { commandExists } from '../upstream/command.ts';
import { EventStore } from '../upstream/event-store.ts';
import { buildRegistry, type Registry } from '../upstream/registry.ts';
import { LineFramer, toLine } from '../upstream/stdio-framing.ts';
import { createApplication, type Served } from './application.ts';
import { ChargeBook } from './charges.ts';
import { Seal } from './seal.ts';
import { SessionBook } from './session-book.ts';
import { SessionStreams } from './session-streams.ts';
import type { Load, Parts, PathSettings } from './parts.ts';
import { TaskBook } from './tasks.ts';
import { StreamBook } from './stream-book.ts';
import { type StdioClient, StdioFront } from './stdio-front.ts';

export type { StdioClient };

/** What a gateway needs from the process it runs in. */
export interface GatewayDeps {
  readonly clock: Clock;
  readonly fleet: Fleet;
  /** Number of this worker. */
  readonly worker: number;
  /** Number of `-v` flags. */
  readonly verbosity: number;
  /** Of which upstream children see PATH, HOME and LANG. */
  readonly baseEnv: Readonly<Record<string, string | undefined>>;
  /** Hands complete audit lines to the primary. */
  readonly sendAudit: SendAudit;
  /** Keys that seal session ids, newest first; the same in all workers. */
  readonly sealKeys: readonly Uint8Array[];
  /** Tells the other workers of sessions. */
  sendSessionNews(news: SessionNews): void;
  /** Tells the other workers what servers say; null where there are none. */
  readonly sendServerNews: ((news: ServerNews) => void) | null;
  /** The way to the authority of all workers' limits; null: this is the only event loop, and there is no other host. */
  readonly leasePort: (LeasePort & { readonly stats: CarrierStats }) | null;
  /** How long ago the worker died whose place this one takes; null for the first. */
  readonly sinceDeathMs: number | null;
  /** Where places for requests in progress are leased from; null: this is the only event loop. */
  readonly placePort: PlacePort | null;
  /** The way of POSTs to streams of other workers; null: there are none. */
  readonly postRelay: PostRelay | null;
  /** The way to the other workers; null where none of them is needed. */
  readonly mesh: MeshPort | null;
  /** The way to other hosts; null where there are none. */
  readonly peerPort: PeerPort | null;
  /** From another host: for this worker, and to be passed on to the others. */
  peerNews(news: SessionNews): void;
  /** The state of an upstream changed. */
  onUpstreamChange(): void;
}

/**
 * What makes a start pointless, found before anything is started: with the single `[upstream]` form a command that does
 * not exist. One of several servers is marked down instead, so that the others are served.
 */
export function startFault(config: ConfigSnapshot, baseEnv: GatewayDeps['baseEnv']): string | null {
  const stdio = config.upstreams[0]?.stdio ?? null;
  if (!config.isSingleUpstream || stdio === null || commandExists(stdio, baseEnv)) return null;
  return `upstream command not found: ${stdio.command} (set upstream.command to a program that exists)`;
}

/** One worker's rooms, composed. */
export interface Gateway {
  readonly application: Served;
  readonly load: Load;
  readonly events: Events;
  /** The gateway stops accepting: standing streams end, those of revision 2024-11-05 as soon as nothing of theirs is in progress. */
  leaveStreams(): void;
  /** Other hosts begin nothing any more in the sessions of this one; resolves when what they began is over. */
  leavePeers(): Promise<void>;
  /** Frees idle budgets and sessions, and tells the other workers what they need to know; about once a second. */
  sweep(): void;
  /** From another worker. */
  sessionNews(news: SessionNews): void;
  /** From another worker, of a server. */
  serverNews(news: ServerNews): void;
  /** A worker began that knows nothing of the others yet. */
  share(): void;
  /** Budgets of this worker, most refused first, and how many there are. */
  limits(max: number): Omit<WorkerLimits, 'worker'>;
  /** Gives back what is leased. Last of all: no request may be left that spends or gives back. */
  closeLimits(): void;
  statuses(): readonly UpstreamStatus[];
  /** `connections`: of all listeners of this worker. */
  dumpMetrics(connections: number): Promise<MetricsDump>;
  /** What the children of this worker wrote to standard error last. */
  stderr(): readonly ServerStderr[];
  flushAudit(): void;
  /** Fails what is in flight and ends the upstreams. Idempotent. */
  close(): Promise<void>;
}

/**
 * The composition root: turns a configuration into running rooms. Upstreams begin to connect here; nothing listens yet.
 * @throws for a configuration that cannot run; nothing is left running then
 */
export function buildGateway(config: ConfigSnapshot, deps: GatewayDeps): Gateway {
  const { clock } = deps;
  const redact = compileRedaction(config.audit.redactionRules, configuredSecrets(config));
  const log = createLog(config.logging, { redact, verbosity: deps.verbosity }).child({ worker: deps.worker });
  const metrics = new Metrics(clock, deps.worker);
  const audit = config.audit.isEnabled ? new WorkerSink({ worker: deps.worker, clock, redact, send: deps.sendAudit }) : null;
  const events = buildEvents({ metrics, audit, log, clock, redact, policyVersion: config.version });
  const workers = Math.max(config.server.workers, 1);
  const replacesSinceMs = deps.sinceDeathMs === null ? null : clock.nowMs() - deps.sinceDeathMs;
  const limiter = buildLimiter(config.rateLimit, {
    clock,
    workers,
    hosts: config.redis?.maxHosts ?? 1,
    hasRecalls: config.redis === null,
    port: deps.leasePort,
    replacesSinceMs,
  });
  const requests = buildPlaces(config.rateLimit, { clock, workers, port: deps.placePort });
  const kept = new EventStore(config.session.events);
  const registry = buildRegistry(
    config.upstreams,
    {
      clock,
      places: requests.places,
      workers,
      worker: deps.worker,
      mesh: deps.mesh,
      peerPort: deps.peerPort,
      peerNews: (news) => deps.peerNews(news),
      sendNews: deps.sendServerNews,
      circuit: (server, breaker) => requests.circuit(server, breaker),
      events: upstreamEvents(events, deps),
      version: VERSION,
      baseEnv: deps.baseEnv,
      compileTools: compileToolIndex,
      kept,
      stateSeal: Seal.of(deps.sealKeys, 'request state'),
      selection: compileSelection,
    },
    config.virtuals,
  );
  const load: Load = { active: 0, streams: 0, isDraining: false, isClosing: false, standing: new Set(), onIdle: null };
  const streams = new SessionStreams(config.session.maxPerPrincipal);
  const sessions = new SessionBook({
    keys: deps.sealKeys,
    clock,
    idleTtlMs: config.session.idleTtlMs,
    maxPerPrincipal: config.session.maxPerPrincipal,
    onEnd: (end) => events.sessionClosed(end),
    onGone: (ref) => {
      streams.endSession(ref);
      registry.batches.endSession(ref);
    },
    onNews: () => tellNews(),
  });
  const tellNews = (): void => {
    const news = sessions.ledger.takeNews();
    if (news !== null) deps.sendSessionNews(news);
  };
  const parts: Parts = {
    settings: pathSettings(config),
    clock,
    events,
    auth: buildAuthenticator({
      settings: config.auth,
      adminTokenHashes: config.server.admin.tokenHashes,
      makeAccess: accessCompiler(config.policy, config.auth.defaultTools),
      defaultLimit: config.rateLimit.default,
    }),
    authSurface: buildAuthSurface(config.auth.resourceMetadata),
    charges: new ChargeBook(config.rateLimit, compileToolIndex(config.rateLimit.tools.map(({ pattern }) => pattern))),
    limiter,
    inFlight: requests.inFlight,
    routes: registry.router,
    virtuals: config.virtuals,
    sessions,
    tasks: new TaskBook(deps.sealKeys),
    streams,
    batches: registry.batches,
    legacyStreams: new StreamBook(deps.worker),
    fleet: deps.fleet,
    outcome: { isAllowed: false, decidedBy: 'principal', limit: -1, remaining: 0, resetSecs: 0, retryAfterSecs: 0, mode: 'remote' },
    load,
  };
  metrics.sources.activeIdentities = () => limiter.size;
  metrics.limits.stats = () => limiter.stats();
  metrics.limits.carrier = () => deps.leasePort?.stats ?? null;
  metrics.places.figures = () => requests.figures();
  metrics.sessions.figures = () => ({
    open: sessions.ledger.ownCount,
    known: sessions.ledger.size,
    ended: sessions.ledger.endedSize,
    streams: streams.size,
    kept: kept.figures,
  });
  metrics.sessions.uses = () => sessions.uses();
  metrics.sessions.partings = registry.partings;
  metrics.places.queued = () => registry.queued();
  metrics.lists.figures = () => registry.lists();
  metrics.lists.unheard = () => registry.unheard();
  metrics.children.figures = () => registry.children();
  metrics.children.relayed = () => registry.relayed();
  metrics.peers.figures = () => deps.peerPort?.figures ?? null;
  metrics.sources.requestsInFlight = () => load.active;
  metrics.sources.streams = () => load.streams;
  return {
    application: createApplication(parts, deps.postRelay),
    load,
    events,
    leaveStreams: () => {
      parts.legacyStreams.leave();
      streams.endAll();
    },
    leavePeers: () => registry.leavePeers(),
    sweep: () => {
      limiter.sweep(clock.nowMs());
      for (const session of streams.sessions()) sessions.ledger.use(session);
      sessions.ledger.sweep();
      tellNews();
    },
    sessionNews: (news) => sessions.receive(news),
    serverNews: (news) => registry.receiveNews(news),
    share: () => {
      sessions.ledger.shareAll();
      registry.shareNews();
    },
    limits: (max) => ({ buckets: limiter.view(clock.nowMs(), max), size: limiter.size }),
    closeLimits: () => limiter.close(),
    statuses: () => statuses(config, registry),
    dumpMetrics: (connections) => {
      metrics.sources.connections = () => connections;
      return dumpMetrics(metrics);
    },
    stderr: () => stderrOf(registry, events, deps.worker),
    flushAudit: () => audit?.flush(),
    close: async () => {
      await registry.close();
      requests.close();
    },
  };
}

/** What upstreams report is told to operators, and a change of state to the primary as well. */
function upstreamEvents(events: Events, deps: GatewayDeps): UpstreamEvents {
  return {
    stateChanged: (upstream) => {
      events.stateChanged(upstream);
      deps.onUpstreamChange();
    },
    stderrLine: (server, line) => events.stderrLine(server, line),
    noise: (server, kind) => events.noise(server, kind),
    listChanged: (server, kind) => events.listChanged(server, kind),
    leftOut: (server, member, reason, what, count) => events.leftOut(server, member, reason, what, count),
    childrenChanged: () => deps.onUpstreamChange(),
    circuitChanged: (upstream) => {
      events.circuitChanged(upstream);
      deps.onUpstreamChange();
    },
    restarted: (server, attempt) => {
      events.restarted(server, attempt);
      // The primary must know the new child, to end it should this worker die before the child is ready.
      deps.onUpstreamChange();
    },
  };
}

/** Binds the main listener and, when configured, the admin one; both or none. */
export async function startListeners(
  config: ConfigSnapshot,
  ports: { readonly main: number; readonly admin: number },
  gateway: Gateway,
  clock: Clock,
): Promise<readonly Listener[]> {
  const { application, events } = gateway;
  const hooks = {
    failed: (error: unknown) => events.internalError('listener', error),
    certificateReloaded: (error: Error | null) => events.certificateReloaded(error),
  };
  const start = (entrance: 'main' | 'admin', port: number): Promise<Listener> =>
    startListener(listenerSettings(config.server, entrance, { port }), application, clock, hooks);
  const main = await start('main', ports.main);
  if (config.server.admin.listen === null) return [main];
  try {
    return [main, await start('admin', ports.admin)];
  } catch (error) {
    main.close();
    throw error;
  }
}

/** Begins to serve the client at the other end of standard input and output. */
export function startStdioFront(config: ConfigSnapshot, client: StdioClient, gateway: Gateway, clock: Clock): Listener {
  const { maxRequestBytes, jsonLimits } = pathSettings(config);
  const isNamed = config.upstreams.some(({ name }) => name === client.server);
  const isReached = (): boolean =>
    gateway.statuses().every(({ server, state }) => state !== 'starting' || (isNamed && server !== client.server));
  const framing = { framer: (max: number, onLine: (line: Buffer) => void) => new LineFramer(max, onLine), toLine };
  return new StdioFront({
    client,
    application: gateway.application,
    framing,
    clock,
    maxMessageBytes: maxRequestBytes,
    jsonLimits,
    isReached,
  });
}

/** Largest string in a client's message; a body is no larger than its limit anyway. */
const MAX_STRING_BYTES = 1_048_576;
const MAX_STRING_BYTES_HARDENED = 262_144;

function pathSettings(config: ConfigSnapshot): PathSettings {
  const { server } = config;
  const maxStringBytes = server.profile === 'hardened' ? MAX_STRING_BYTES_HARDENED : Math.max(MAX_STRING_BYTES, server.maxRequestBytes);
  return {
    maxRequestBytes: server.maxRequestBytes,
    jsonLimits: { maxDepth: server.maxJsonDepth, maxKeys: server.maxJsonKeys, maxStringBytes },
    isAcceptStrict: server.isAcceptStrict,
    isDeniedCounted: config.rateLimit.isDeniedCounted,
    pollAfterMs: config.session.pollAfterMs,
    isWebSocketEnabled: server.isWebSocketEnabled,
    isSseEnabled: server.isSseEnabled,
    cors: server.cors,
    hasAdminListener: server.admin.listen !== null,
    isAdminListenerGuarded: server.admin.tokenHashes.length > 0,
  };
}

function statuses(config: ConfigSnapshot, registry: Registry): UpstreamStatus[] {
  return registry.list.map((upstream, index) => ({
    server: upstream.name,
    transport: upstream.transport,
    pathPrefix: config.upstreams[index]?.pathPrefix ?? null,
    isRequired: upstream.isRequired,
    state: upstream.state,
    circuit: upstream.circuit,
    detail: upstream.detail,
    pids: upstream.pids,
  }));
}

function stderrOf(registry: Registry, events: ObservedEvents, worker: number): ServerStderr[] {
  return registry.list
    .filter((upstream) => upstream.transport === 'stdio')
    .map(({ name }) => ({ server: name, lines: events.stderrTail(name).map((line) => ({ ...line, worker })) }));
}
