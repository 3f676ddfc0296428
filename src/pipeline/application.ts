import type { Application, Exchange } from '../core/exchange.ts';
import type { Refusal } from '../core/refusal.ts';
import { handleEndpoint } from './endpoints.ts';
import { guarded } from './guarded.ts';
import { handleMcp } from './handle.ts';
import type { Parts } from './parts.ts';
import { isMcpPath, refuse } from './reply.ts';
import { begin } from './settle.ts';

/** What the listeners serve: MCP paths walk `handle.ts`, the rest are endpoints of the gateway itself. */
export function createApplication(parts: Parts): Application {
  return {
    handle(exchange: Exchange): void {
      const context = begin(parts, exchange);
      const { head } = exchange;
      guarded(parts, context, () => {
        if (head.entrance === 'main' && isMcpPath(head.path)) handleMcp(parts, context);
        else handleEndpoint(parts, context);
      });
    },
    refuse(exchange: Exchange, refusal: Refusal): void {
      refuse(parts, begin(parts, exchange), refusal);
    },
  };
}
