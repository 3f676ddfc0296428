import type { Clock } from '../core/clock.ts';
import type { Application, Listener } from '../core/exchange.ts';
import type { ListenerHooks } from './hooks.ts';
import { startNodeHttp } from './node-http.ts';
import type { ListenerSettings } from './settings.ts';
import { startUws } from './uws.ts';

/**
 * Binds a listener with the engine the settings name. Rejects with an Error (`code` such as `EADDRINUSE` when the
 * address cannot be bound) and leaves nothing open then.
 */
export function startListener(
  settings: ListenerSettings,
  application: Application,
  clock: Clock,
  hooks: ListenerHooks = {},
): Promise<Listener> {
  const start = settings.engine === 'uws' ? startUws : startNodeHttp;
  return start(settings, application, clock, hooks);
}
