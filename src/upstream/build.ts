import type { HttpSettings, UpstreamSettings } from '../core/config.ts';
import type { Upstream } from '../core/upstream.ts';
import type { UpstreamDeps } from './deps.ts';
import { EraUpstream } from './era-upstream.ts';
import { HttpUpstream } from './http.ts';
import { ModernHttp } from './modern-http.ts';
import { StdioUpstream } from './stdio.ts';
import { WebSocketUpstream } from './websocket.ts';

/** An upstream that is not started yet. Throws for transports that are not available; `config/` refuses them. */
export function buildUpstream(settings: UpstreamSettings, deps: UpstreamDeps): Upstream {
  if (settings.transport === 'stdio' && settings.stdio !== null) return new StdioUpstream(settings, settings.stdio, deps);
  if (settings.transport === 'http' && settings.http !== null) return httpUpstream(settings, settings.http, deps);
  if (settings.transport === 'websocket' && settings.http !== null) return new WebSocketUpstream(settings, settings.http, deps);
  throw new Error(`upstream ${settings.name}: transport ${settings.transport} is not available`);
}

function httpUpstream(settings: UpstreamSettings, http: HttpSettings, deps: UpstreamDeps): Upstream {
  return new EraUpstream(deps, {
    legacy: (legacyDeps) => new HttpUpstream(settings, http, legacyDeps),
    modern: (host) => new ModernHttp(settings, http, deps, host),
  });
}
