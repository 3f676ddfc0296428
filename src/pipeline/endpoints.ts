import type { RequestContext } from '../core/context.ts';
import * as errors from '../core/errors.ts';
import type { ServerStderr } from '../core/messages.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import { VERSION } from '../core/version.ts';
import { isPreflight } from './cors.ts';
import { answerPreflight } from './local.ts';
import type { Parts } from './parts.ts';
import { answer, JSON_TYPE, markRefused, refuse } from './reply.ts';

const METADATA_PATH = '/.well-known/oauth-protected-resource';
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
  const denied = open === undefined ? authorizeAdmin(parts, context) : null;
  if (denied !== null) return refuse(parts, context, denied);
  endpoint(parts, context);
}

function labelOf(path: string): string {
  if (path.startsWith(METADATA_PATH)) return 'resource_metadata';
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

function authorizeAdmin(parts: Parts, context: RequestContext): Refusal | null {
  const { head } = context.exchange;
  if (head.entrance === 'admin' && !parts.settings.isAdminListenerGuarded) return null;
  const who = parts.auth.tryNow(head, parts.clock.wallMs());
  if (isRefusal(who)) context.refusal = who;
  else context.principal = who;
  parts.events.authenticated(context);
  if (isRefusal(who)) return who;
  return who.isAdmin ? null : errors.ADMIN_REQUIRED;
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
      detail: status.detail,
      stderr: servers === null ? null : shownStderr(servers, status.server),
    }));
    answer(parts, context, 200, JSON_TYPE, JSON.stringify({ routes }));
  });
}

function shownStderr(servers: readonly ServerStderr[], name: string): unknown[] {
  const lines = servers.find((one) => one.server === name)?.lines ?? [];
  return lines.map(({ wallMs, worker, line }) => ({ time: new Date(wallMs).toISOString(), worker, line }));
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
