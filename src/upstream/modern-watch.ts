import type { Clock } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import type { Refusal } from '../core/refusal.ts';
import type { NewsInterest } from '../core/server-news.ts';
import type { InFlight, ListKind, ReplySink, RequestOptions } from '../core/upstream.ts';
import { changedList } from '../mcp/list-request.ts';
import { gatewayMeta } from '../mcp/modern-request.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';
import type { ModernSide } from './modern-side.ts';
import { SessionSubscription, type SubscriptionHost } from './session-subscription.ts';

const LISTS: readonly ListKind[] = ['tools', 'resources', 'prompts'];
/** Of no caller. */
const OWN: RequestOptions = { restPath: '', principalKey: '', modern: { params: null } };

export interface ModernWatchOptions {
  readonly clock: Clock;
  readonly modern: ModernSide;
  readonly gatewayVersion: string;
  onChanged(kind: ListKind): void;
}

/**
 * Subscribes for the gateway itself to changes of the lists of a server of revision 2026-07-28 (`subscriptions/listen`), where lists are kept: as
 * `ListWatch` does with servers of older revisions.
 */
export class ModernWatch implements SubscriptionHost {
  readonly clock: Clock;
  readonly #options: ModernWatchOptions;
  readonly #subscription: SessionSubscription;

  constructor(options: ModernWatchOptions) {
    this.clock = options.clock;
    this.#options = options;
    this.#subscription = new SessionSubscription(this);
  }

  /** The server came, went, or says something else of itself. */
  refresh(): void {
    this.#subscription.refresh();
  }

  close(): void {
    this.#subscription.close();
  }

  // SubscriptionHost

  wanted(): NewsInterest {
    const { info, isUp } = this.#options.modern;
    if (!isUp || info === null) return { lists: [], uris: [] };
    const declared = JSON.parse(info.legacy.capabilitiesJson) as Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;
    return { lists: LISTS.filter((list) => declared[list]?.['listChanged'] === true), uris: [] };
  }

  meta(): string {
    return gatewayMeta(this.#options.gatewayVersion);
  }

  send(message: Envelope, sink: ReplySink): InFlight | Refusal {
    return this.#options.modern.request(message, OWN, sink);
  }

  deliver(bytes: Buffer): void {
    const kind = changedList(scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH })?.method ?? '');
    if (kind !== null) this.#options.onChanged(kind);
  }
}
