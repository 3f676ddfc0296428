import type { ConfigProblem, ConfigSnapshot, UpstreamSettings } from '../core/config.ts';
import { refuseCommand } from './command.ts';
import { checkUrl, WEBSOCKET_SCHEMES } from './ssrf.ts';

/** Headers that the gateway or the connection itself sets; configured ones would contradict them. */
const RESERVED: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'transfer-encoding',
  'content-length',
  'content-type',
  'content-encoding',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'accept',
  'accept-encoding',
  'last-event-id',
]);

/**
 * What is wrong with the upstreams beyond their schema: URLs that must not be fetched, shells, headers that break
 * requests. Values are not repeated, they may be credentials. Commands are not looked up: another machine may run this.
 */
export function checkUpstreams(snapshot: ConfigSnapshot): ConfigProblem[] {
  return snapshot.upstreams.flatMap((settings, index) => {
    const path = snapshot.isSingleUpstream ? 'upstream' : `upstream.servers[${index}]`;
    return checkUpstream(settings, path);
  });
}

/** Null when these headers can be sent, else the reason. */
export function checkHeaders(headers: Readonly<Record<string, string>>): string | null {
  for (const [name, value] of Object.entries(headers)) {
    const reason = checkHeader(name, value);
    if (reason !== null) return reason;
  }
  const names = Object.keys(headers).map((name) => name.toLowerCase());
  return new Set(names).size === names.length ? null : 'name a header twice';
}

function checkUpstream({ transport, http, stdio }: UpstreamSettings, path: string): ConfigProblem[] {
  const schemes = transport === 'websocket' ? WEBSOCKET_SCHEMES : undefined;
  const url = http === null ? null : checkUrl(http.url, http, schemes);
  const headers = http === null ? null : checkHeaders(http.headers);
  const command = stdio === null ? null : refuseCommand(stdio, null);
  return [problem(`${path}.url`, url), problem(`${path}.headers`, headers), problem(`${path}.command`, command)].flat();
}

function checkHeader(name: string, value: string): string | null {
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) return `${JSON.stringify(name)} is not a header name`;
  const lower = name.toLowerCase();
  if (RESERVED.has(lower) || lower.startsWith('mcp-') || lower.startsWith('sec-websocket-'))
    return `${lower} is set by the gateway and cannot be configured`;
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value) ? null : `the value of ${lower} holds characters that a header cannot carry`;
}

function problem(path: string, message: string | null): ConfigProblem[] {
  return message === null ? [] : [{ path, message, severity: 'error' }];
}
