import { isIPv6 } from 'node:net';
import { BAD_HOST, HOST_DENIED, ORIGIN_DENIED } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { ListenerSettings } from './settings.ts';

/** `name[:port]` or `[v6][:port]`; RFC 9110 section 7.2 with names as DNS has them. */
const HOST_SYNTAX = /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9.])?|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/;
const LOOPBACK_ORIGIN = /^https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/;
const PORT = /:\d+$/;

/** Against DNS rebinding: which names this listener answers to, and which pages may talk to it. */
export interface SiteCheck {
  /** Null, or why a non-empty `Host` is malformed. */
  readonly hostSyntax: (host: string) => Refusal | null;
  /** Takes a lower-case host of good syntax. */
  readonly host: (host: string) => Refusal | null;
  /** Takes the `Origin` as received, not empty. */
  readonly origin: (origin: string) => Refusal | null;
}

export function createSiteCheck(
  settings: Pick<ListenerSettings, 'allowedHosts' | 'allowedOrigins' | 'areLoopbackOriginsAllowed'>,
): SiteCheck {
  const hosts = settings.allowedHosts === null ? null : new Set(settings.allowedHosts);
  const origins = new Set(settings.allowedOrigins);
  const isEveryOriginAllowed = origins.has('*');
  // Clients hardly name another host than the one before.
  let lastGood = '';
  let lastAllowed = '';
  return {
    hostSyntax(host) {
      if (host === lastGood) return null;
      if (!HOST_SYNTAX.test(host) || !isPortInRange(host) || !isLiteralValid(host)) return BAD_HOST;
      lastGood = host;
      return null;
    },
    host(host) {
      if (hosts === null || host === lastAllowed) return null;
      if (!hosts.has(host) && !hosts.has(host.replace(PORT, ''))) return HOST_DENIED;
      lastAllowed = host;
      return null;
    },
    origin(received) {
      const origin = received.toLowerCase();
      if (isEveryOriginAllowed || origins.has(origin)) return null;
      return settings.areLoopbackOriginsAllowed && LOOPBACK_ORIGIN.test(origin) ? null : ORIGIN_DENIED;
    },
  };
}

function isPortInRange(host: string): boolean {
  const port = PORT.exec(host);
  return port === null || host.endsWith(']') || Number(port[0].slice(1)) <= 65_535;
}

function isLiteralValid(host: string): boolean {
  return !host.startsWith('[') || isIPv6(host.slice(1, host.indexOf(']')));
}
