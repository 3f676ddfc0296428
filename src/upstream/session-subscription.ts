import type { Clock, Timer } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { NewsInterest } from '../core/server-news.ts';
import type { InFlight, ReplySink } from '../core/upstream.ts';
import { changeOf, filterFor, legacyChange } from '../mcp/listen-filter.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import { Backoff } from './backoff.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';
import { ownMessage } from './own-message.ts';

const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 60_000;

export interface SubscriptionHost {
  readonly clock: Clock;
  /** What the client listens for now; nothing while nobody reads. */
  wanted(): NewsInterest;
  /** Members of `_meta`, as JSON text. */
  meta(): string;
  send(message: Envelope, sink: ReplySink): InFlight | Refusal;
  /** To the client, in the words of the older revisions. */
  deliver(bytes: Buffer): void;
}

/**
 * News of a server of revision 2026-07-28 for a session of an older one: subscribed to (`subscriptions/listen`) while its client listens,
 * and told as `list_changed` and `resources/updated`.
 */
export class SessionSubscription {
  readonly #host: SubscriptionHost;
  readonly #backoff = new Backoff({ firstMs: FIRST_RETRY_MS, maxMs: MAX_RETRY_MS });
  /** The filter of what stands or is about to. */
  #filter = '';
  #current: Subscription | null = null;
  #retry: Timer | null = null;
  #isClosed = false;

  constructor(host: SubscriptionHost) {
    this.#host = host;
  }

  /** What is wanted may be something else: a subscription cannot be changed, a new one takes its place. */
  refresh(): void {
    const wanted = this.#host.wanted();
    const filter = this.#isClosed || wanted.lists.length + wanted.uris.length === 0 ? '' : filterFor(wanted);
    if (filter === this.#filter) return;
    this.#filter = filter;
    this.#retry?.cancel();
    const former = this.#current;
    this.#current = null;
    if (filter !== '') this.#open(wanted, filter);
    former?.leave();
  }

  close(): void {
    this.#isClosed = true;
    this.refresh();
  }

  #open(wanted: NewsInterest, filter: string): void {
    const subscription = new Subscription({
      told: (bytes) => this.#host.deliver(bytes),
      stood: () => this.#backoff.reset(),
      ended: () => {
        if (this.#current === subscription) this.#later(wanted, filter);
      },
    });
    this.#current = subscription;
    const text = `{"jsonrpc":"2.0","id":"news","method":"subscriptions/listen","params":{"_meta":{${this.#host.meta()}},${filter}}}`;
    const flight = this.#host.send(ownMessage(text), subscription);
    if (isRefusal(flight)) this.#later(wanted, filter);
    else subscription.flight = flight;
  }

  /** Nothing was heard meanwhile: any of the lists may have changed. */
  #later(wanted: NewsInterest, filter: string): void {
    this.#current = null;
    this.#retry = this.#host.clock.after(this.#backoff.next(), () => {
      if (this.#isClosed) return;
      this.#open(wanted, filter);
      for (const list of wanted.lists) this.#host.deliver(legacyChange({ list }));
    });
  }
}

interface SubscriptionEvents {
  /** The server has agreed to it. */
  stood(): void;
  told(bytes: Buffer): void;
  ended(): void;
}

/** One `subscriptions/listen`. */
class Subscription implements ReplySink {
  flight: InFlight | null = null;
  readonly #events: SubscriptionEvents;
  #isOver = false;

  constructor(events: SubscriptionEvents) {
    this.#events = events;
  }

  leave(): void {
    this.#isOver = true;
    this.flight?.detach(() => undefined);
  }

  onStream(): void {}

  onMessage(bytes: Buffer): boolean {
    const message = this.#isOver ? null : scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH });
    if (message === null || message.kind !== 'notification') return true;
    const change = changeOf(message.method, bytes);
    if (change === null) this.#events.stood();
    else this.#events.told(legacyChange(change));
    return true;
  }

  onReply(): void {
    this.#end();
  }

  onFail(): void {
    this.#end();
  }

  onCancelled(): void {
    this.#end();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#events.ended();
  }
}
