import type { VirtualSettings } from '../core/config.ts';
import type { RequestContext } from '../core/context.ts';
import * as errors from '../core/errors.ts';
import type { ServerStderr } from '../core/messages.ts';
import { isRefusal } from '../core/refusal.ts';
import { VERSION } from '../core/version.ts';
import { withCharges } from './budget.ts';
import { isPreflight } from './cors.ts';
import { identifyAdmin } from './identify.ts';
import { answerPreflight } from './local.ts';
import type { Parts } from './parts.ts';
import { answer, JSON_TYPE, markRefused, refuse } from './reply.ts';

const METADATA_PATH = '/.well-known/oauth-protected-resource';
const LIMITS_PATH = '/admin/api/limits';
/** Prometheus text format 0.0.4. */
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

type Endpoint = (parts: Parts, context: RequestContext) => void;

const PUBLIC: ReadonlyMap<string, Endpoint> = new Map([
  ['/health', answerHealth],
  ['/healthz', answerHealth],
  ['/live', answerLive],
  ['/ready', answerReady],
]);
const ADMIN: ReadonlyMap<string, Endpoint> = new Map([
  ['/metrics', answerMetrics],
  ['/routes', answerRoutes],
  [LIMITS_PATH, answerLimits],
]);

/** Everything that is not `/mcp`. */
export function handleEndpoint(parts: Parts, context: RequestContext): void {
  const { head } = context.exchange;
  if (isPreflight(parts.settings.cors, context)) return answerPreflight(parts, context);
  const open = PUBLIC.get(head.path) ?? metadataEndpoint(head.path);
  const endpoint = open ?? adminEndpoint(parts, context);
  if (endpoint === undefined) return refuse(parts, context, errors.NOT_FOUND);
  context.methodLabel = labelOf(head.path);
  if (head.method !== 'GET' && head.method !== 'HEAD') return refuse(parts, context, errors.METHOD_NOT_ALLOWED);
  if (open !== undefined) return open(parts, context);
  authorizeAdmin(parts, context, endpoint);
}

function labelOf(path: string): string {
  if (path.startsWith(METADATA_PATH)) return 'resource_metadata';
  if (path === LIMITS_PATH) return 'limits';
  return path === '/healthz' ? 'health' : path.slice(1);
}

function metadataEndpoint(path: string): Endpoint | undefined {
  return path === METADATA_PATH || path.startsWith(`${METADATA_PATH}/`) ? answerMetadata : undefined;
}

/** With a separate admin listener the main one knows nothing of admin endpoints. */
function adminEndpoint(parts: Parts, context: RequestContext): Endpoint | undefined {
  const { head } = context.exchange;
  if (parts.settings.hasAdminListener && head.entrance === 'main') return undefined;
  return ADMIN.get(head.path);
}

/** Guesses at a credential cost their address as much here as at an MCP server. */
function authorizeAdmin(parts: Parts, context: RequestContext, endpoint: Endpoint): void {
  const { head } = context.exchange;
  if (head.entrance === 'admin' && !parts.settings.isAdminListenerGuarded) return endpoint(parts, context);
  const charges = head.entrance === 'admin' ? [] : parts.charges.ofAddress(head.clientIp);
  withCharges(parts, context, charges, context.startMs, (limited) => {
    if (limited !== null) return refuse(parts, context, limited);
    const who = identifyAdmin(parts, context);
    if (isRefusal(who)) return refuse(parts, context, who);
    endpoint(parts, context);
  });
}

function answerHealth(parts: Parts, context: RequestContext): void {
  const uptimeSecs = Math.floor(process.uptime());
  answer(parts, context, 200, JSON_TYPE, `{"status":"healthy","version":"${VERSION}","uptime_secs":${uptimeSecs}}`);
}

function answerLive(parts: Parts, context: RequestContext): void {
  answer(parts, context, 200, JSON_TYPE, '{"status":"alive"}');
}

/** Says whether to send traffic here: asks the state of the whole gateway each time. */
function answerReady(parts: Parts, context: RequestContext): void {
  const reason = parts.load.isDraining ? 'draining' : parts.fleet.reason;
  if (reason === '') return answer(parts, context, 200, JSON_TYPE, JSON.stringify({ ready: true, version: VERSION }));
  context.detail = reason;
  markRefused(context, errors.NOT_READY);
  const body = { ready: false, version: VERSION, reason, error_id: context.errorId };
  answer(parts, context, errors.NOT_READY.status, JSON_TYPE, JSON.stringify(body));
}

function answerRoutes(parts: Parts, context: RequestContext): void {
  parts.fleet.stderr((servers) => {
    if (context.isSettled) return;
    const routes = parts.fleet.upstreams.map((status) => ({
      name: status.server,
      prefix: status.pathPrefix,
      transport: status.transport,
      required: status.isRequired,
      health: status.state,
      circuit: status.circuit,
      detail: status.detail,
      stderr: servers === null ? null : shownStderr(servers, status.server),
    }));
    answer(parts, context, 200, JSON_TYPE, JSON.stringify({ routes, virtual: parts.virtuals.map((one) => shownVirtual(parts, one)) }));
  });
}

/** Ready as soon as one of its members is: the others are left out of its lists. */
function shownVirtual({ fleet }: Parts, { name, path, separator, servers }: VirtualSettings): unknown {
  const isReady = fleet.upstreams.some(({ server, state }) => state === 'ready' && servers.includes(server));
  return { name, path, separator, servers, health: isReady ? 'ready' : 'down' };
}

function shownStderr(servers: readonly ServerStderr[], name: string): unknown[] {
  const lines = servers.find((one) => one.server === name)?.lines ?? [];
  return lines.map(({ wallMs, worker, line }) => ({ time: new Date(wallMs).toISOString(), worker, line }));
}

/** Budgets of all workers, most refused first. A line feed separates the parts of a key, which is of no use to a reader. */
function answerLimits(parts: Parts, context: RequestContext): void {
  parts.fleet.limits((limits) => {
    if (context.isSettled) return;
    if (limits === null) return refuse(parts, context, errors.OVERLOADED);
    const buckets = limits.buckets.map((bucket) => ({
      key: bucket.key.replaceAll('\n', ' '),
      limit: bucket.limit,
      requests_per_second: bucket.perSecond,
      burst: bucket.burst,
      remaining: bucket.remaining,
      refused: bucket.refused,
      denied_for_ms: bucket.deniedForMs,
      mode: bucket.mode,
      leases: bucket.leases,
    }));
    answer(parts, context, 200, JSON_TYPE, JSON.stringify({ buckets, authority: limits.authority }));
  });
}

function answerMetrics(parts: Parts, context: RequestContext): void {
  parts.fleet.metricsText((text) => {
    if (context.isSettled) return;
    if (text === null) return refuse(parts, context, errors.OVERLOADED);
    answer(parts, context, 200, METRICS_TYPE, text);
  });
}

function answerMetadata(parts: Parts, context: RequestContext): void {
  const { head } = context.exchange;
  const resourcePath = head.path.slice(METADATA_PATH.length);
  answer(parts, context, 200, JSON_TYPE, parts.authSurface.resourceMetadata(head, resourcePath));
}
