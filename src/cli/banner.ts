import type { ConfigSnapshot, UpstreamSettings } from '../core/config.ts';
import { VERSION } from '../core/version.ts';

const MIB = 1024 * 1024;

function authority(host: string, port: number): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** `http://127.0.0.1:3000`, as a client reaches it: a wildcard address is shown as it is. */
export function listenUrl(snapshot: ConfigSnapshot, port: number): string {
  return `${snapshot.server.tls === null ? 'http' : 'https'}://${authority(snapshot.server.host, port)}`;
}

function adminLine(snapshot: ConfigSnapshot, adminPort: number): readonly string[] {
  const { listen } = snapshot.server.admin;
  return listen === null ? [] : [`  admin      http://${authority(listen.host, adminPort)}`];
}

function authText({ auth, server }: ConfigSnapshot): string {
  const parts: string[] = [];
  if (auth.apiKeys.length > 0) parts.push(`API keys: ${auth.apiKeys.length}`);
  if (server.admin.tokenHashes.length > 0) parts.push(`admin tokens: ${server.admin.tokenHashes.length}`);
  if (auth.isAnonymousAllowed) parts.push('anonymous callers allowed');
  else if (auth.apiKeys.length === 0) parts.push('no provider: every MCP request is refused');
  return parts.join(', ');
}

function endpointsOf(upstream: UpstreamSettings, isOnly: boolean): string {
  const paths = [...(isOnly ? ['/mcp'] : []), `/mcp/${upstream.name}`];
  if (upstream.pathPrefix !== null && upstream.pathPrefix !== `/${upstream.name}`)
    paths.push(`/mcp${upstream.pathPrefix === '/' ? '' : upstream.pathPrefix}`);
  return [...new Set(paths)].join(', ');
}

/** Names and transports only: commands, arguments and URLs may carry secrets. */
function upstreamLines(upstreams: readonly UpstreamSettings[]): readonly string[] {
  return upstreams.map((upstream, index) => {
    const label = index === 0 ? 'upstreams' : '';
    return `  ${label.padEnd(10)} ${upstream.name} (${upstream.transport}) at ${endpointsOf(upstream, upstreams.length === 1)}`;
  });
}

function bytesText(bytes: number): string {
  return bytes % MIB === 0 ? `${bytes / MIB} MiB` : `${bytes} bytes`;
}

function limitsText({ rateLimit, server }: ConfigSnapshot): string {
  const body = `body ${bytesText(server.maxRequestBytes)}`;
  if (!rateLimit.isEnabled) return `no rate limit, ${body}`;
  const { perSecond, burst } = rateLimit.default;
  return [`${perSecond} requests/s, burst ${burst} per principal`, ...furtherLimits(rateLimit), body].join(', ');
}

function furtherLimits({ address, tools, perToolDefault, methods }: ConfigSnapshot['rateLimit']): readonly string[] {
  const parts: string[] = [];
  if (address !== null) parts.push(`${address.perSecond} requests/s per address`);
  if (tools.length > 0) parts.push(`tool patterns: ${tools.length}`);
  if (perToolDefault !== null) parts.push(`${perToolDefault.perSecond} calls/s per tool`);
  if (methods.length > 0) parts.push(`methods: ${methods.length}`);
  return parts;
}

function auditText({ audit }: ConfigSnapshot): string {
  if (!audit.isEnabled) return 'off';
  const sinks = [...(audit.file === null ? [] : [audit.file]), ...(audit.isStdout ? ['stdout'] : [])];
  return sinks.length === 0 ? 'off: no file and no stdout' : sinks.join(', ');
}

/** Where other hosts reach this one. */
function peerLine({ server: { peers } }: ConfigSnapshot): readonly string[] {
  return peers === null ? [] : [`  hosts      ${peers.advertised}, listening on ${authority(peers.listen.host, peers.listen.port)}`];
}

function workersText(workers: number): string {
  return workers === 0 ? 'none, one process' : String(workers);
}

/** What an operator sees once everything listens. Holds no secret. Ports are the bound ones, `adminPort` 0 for none; `where` clients are heard. */
export function bannerLines(
  snapshot: ConfigSnapshot,
  port: number,
  adminPort: number,
  where: string = `${listenUrl(snapshot, port)}/mcp`,
): readonly string[] {
  const { server } = snapshot;
  return [
    `mcp-guard ${VERSION} (${snapshot.source})`,
    `  listen     ${where}`,
    ...(adminPort === 0 ? [] : adminLine(snapshot, adminPort)),
    ...peerLine(snapshot),
    `  auth       ${authText(snapshot)}`,
    ...upstreamLines(snapshot.upstreams),
    `  limits     ${limitsText(snapshot)}`,
    `  audit      ${auditText(snapshot)}`,
    '  detectors  none',
    `  profile    ${server.profile}, engine ${server.engine}`,
    `  workers    ${workersText(server.workers)}`,
  ];
}
