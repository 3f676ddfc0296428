import type { HttpSettings, StdioSettings, UpstreamSettings } from '../core/config.ts';
import type { Upstream } from '../core/upstream.ts';
import { ChannelSessions } from './channel-sessions.ts';
import type { Connector } from './channel.ts';
import { longestCallMs } from './deadlines.ts';
import type { UpstreamDeps } from './deps.ts';
import { EraUpstream } from './era-upstream.ts';
import { HttpUpstream } from './http.ts';
import { ModernChannel } from './modern-channel.ts';
import { ModernHttp } from './modern-http.ts';
import { SessionedUpstream } from './sessioned.ts';
import { SseConnector, SseUpstream } from './sse.ts';
import { StdioConnector, StdioUpstream } from './stdio.ts';
import { WebSocketConnector, WebSocketUpstream } from './websocket.ts';

/** Beyond the last deadline of a request, until a worker that does not answer is given up. */
const STUCK_MS = 5000;

/** An upstream that is not started yet. Throws for settings that `config/` does not make. */
export function buildUpstream(settings: UpstreamSettings, deps: UpstreamDeps): Upstream {
  if (settings.transport === 'stdio' && settings.stdio !== null) return stdioUpstream(settings, settings.stdio, deps);
  if (settings.transport === 'http' && settings.http !== null) return httpUpstream(settings, settings.http, deps);
  if (settings.transport === 'websocket' && settings.http !== null) return webSocketUpstream(settings, settings.http, deps);
  if (settings.transport === 'sse' && settings.http !== null) return sseUpstream(settings, settings.http, deps);
  throw new Error(`upstream ${settings.name}: nothing to reach it by ${settings.transport}`);
}

function httpUpstream(settings: UpstreamSettings, http: HttpSettings, deps: UpstreamDeps): Upstream {
  return new EraUpstream(deps, {
    first: 'modern',
    isBridged: settings.isBridged,
    longestMs: longestCallMs(settings) + STUCK_MS,
    isWatched: settings.listCacheMs > 0,
    legacy: (legacyDeps) => new HttpUpstream(settings, http, legacyDeps),
    modern: (host) => new ModernHttp(settings, http, deps, host),
  });
}

function stdioUpstream(settings: UpstreamSettings, stdio: StdioSettings, deps: UpstreamDeps): Upstream {
  const connector = new StdioConnector(stdio, deps);
  return overChannel(settings, connector, deps, (legacyDeps) => new StdioUpstream(settings, stdio, legacyDeps));
}

function webSocketUpstream(settings: UpstreamSettings, http: HttpSettings, deps: UpstreamDeps): Upstream {
  const connector = new WebSocketConnector(settings, http, deps);
  return overChannel(settings, connector, deps, (legacyDeps) => new WebSocketUpstream(settings, http, legacyDeps));
}

function sseUpstream(settings: UpstreamSettings, http: HttpSettings, deps: UpstreamDeps): Upstream {
  const connector = new SseConnector(settings, http, deps);
  return overChannel(settings, connector, deps, (legacyDeps) => new SseUpstream(settings, http, legacyDeps));
}

/** Each half has a channel of its own: a server decides by the first message which revisions it speaks on one. */
function overChannel(
  settings: UpstreamSettings,
  connector: Connector,
  deps: UpstreamDeps,
  legacy: (legacyDeps: UpstreamDeps) => Upstream,
): Upstream {
  return new EraUpstream(deps, {
    first: 'legacy',
    isBridged: settings.isBridged,
    longestMs: longestCallMs(settings) + STUCK_MS,
    isWatched: false,
    legacy: (legacyDeps) => withSessions(legacy(legacyDeps), settings, connector, deps),
    modern: (host) => new ModernChannel(settings, connector, deps, host),
  });
}

/** What comes without a session shares `shared` in any case. */
function withSessions(shared: Upstream, settings: UpstreamSettings, connector: Connector, deps: UpstreamDeps): Upstream {
  if (!settings.hasOwnChannels) return shared;
  const { places } = deps;
  if (places === undefined) throw new Error(`upstream ${settings.name}: nothing to count its sessions by`);
  return new SessionedUpstream(shared, new ChannelSessions(settings, connector, { ...deps, places }));
}
