import type { RedisSettings } from '../core/config.ts';
import type { Log } from '../core/log.ts';
import type { Store } from '../core/store.ts';
import { RedisStore } from './redis-store.ts';

/** Opens the configured store and logs when it comes and goes. Throws when its certificate authority cannot be read. */
export function connectStore(settings: RedisSettings, log: Log): Store {
  return new RedisStore(settings, (state, reason) => {
    if (state === 'lost') log.warn({ reason }, 'shared store lost');
    else log.info({}, state === 'ready' ? 'shared store connected' : 'shared store closed');
  });
}
