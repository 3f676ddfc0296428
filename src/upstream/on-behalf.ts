import type { RequestOptions } from '../core/upstream.ts';

/**
 * For a request that the gateway makes for a caller: it takes that caller's turns in queues, and no client can name it to cancel it, as a line
 * break is in no principal's key.
 */
export function onBehalf(principalKey: string, purpose: string, restPath: string = ''): RequestOptions & { readonly childKey: string } {
  return { restPath, principalKey: `${principalKey}\n${purpose}`, childKey: principalKey };
}
