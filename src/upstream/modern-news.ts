import type { Clock, Timer } from '../core/clock.ts';
import { type NewsInterest, type ServerChange, wants } from '../core/server-news.ts';
import { ACKNOWLEDGED, changeFor, changeOf, filterFor, joined, readAcknowledged, unheard } from '../mcp/listen-filter.ts';
import type { UpstreamMessage } from '../mcp/upstream-message.ts';
import type { NewsClient, NewsHub } from './news-desk.ts';
import type { PendingEntry } from './pending.ts';

/** Before the gateway's own subscription is made again that ended or was refused. */
const AGAIN_MS = 5000;

export interface ModernNewsOptions {
  readonly server: string;
  readonly isShared: boolean;
  readonly clock: Clock;
  readonly desk: NewsHub;
  /** Subscribes for the gateway itself; `filter` is a member of `params`. Null: not now. `ended` is called when it is over. */
  subscribe(filter: string, ended: () => void): PendingEntry | null;
  unsubscribe(entry: PendingEntry): void;
  /** To one of the clients' subscriptions. */
  deliver(entry: PendingEntry, bytes: Buffer): void;
  /** Another worker's server said that one of its lists changed. */
  listChanged(change: ServerChange): void;
}

/**
 * What a server behind one channel tells, on its way between workers (2026-07-28, subscriptions): each worker's channel is asked for what
 * clients of the other workers want to be told, and tells it on.
 */
export class ModernNews implements NewsClient {
  readonly isShared: boolean;
  readonly #options: ModernNewsOptions;
  /** Subscriptions of clients here, and what the server has agreed to tell each. */
  readonly #clients = new Map<PendingEntry, NewsInterest>();
  #own: PendingEntry | null = null;
  #asked = '';
  #again: Timer | null = null;
  #isUp = false;

  constructor(options: ModernNewsOptions) {
    this.#options = options;
    this.isShared = options.isShared;
    options.desk.join(options.server, this);
  }

  /** Resources that clients here named and the other workers are not asked for, and that they named and the server here is not. */
  get unheard(): number {
    return unheard([...this.#clients.values()]) + unheard(this.#options.desk.wantedElsewhere(this.#options.server));
  }

  /** There will be no channel any more. */
  close(): void {
    this.#again?.cancel();
    this.#isUp = false;
    this.#options.desk.leave(this);
  }

  /** The channel stands. */
  up(): void {
    this.#isUp = true;
    this.onInterest();
  }

  /** It is gone, with all subscriptions. */
  down(): void {
    this.#isUp = false;
    this.#own = null;
    this.#asked = '';
    this.#again?.cancel();
    this.#clients.clear();
    this.#want();
  }

  /** A notification of a subscription. */
  heard(entry: PendingEntry, bytes: Buffer, message: UpstreamMessage): void {
    if (message.method === ACKNOWLEDGED && !entry.isOwn) {
      this.#clients.set(entry, readAcknowledged(bytes));
      return this.#want();
    }
    const change = changeOf(message.method, bytes);
    if (change !== null) this.#options.desk.told(this.#options.server, change);
  }

  /** A client's subscription is over. */
  left(entry: PendingEntry): void {
    if (this.#clients.delete(entry)) this.#want();
  }

  onChange(change: ServerChange): void {
    this.#options.listChanged(change);
    for (const [entry, interest] of this.#clients) {
      if (!entry.isDone && wants(interest, change)) this.#options.deliver(entry, changeFor(change, entry.idToken));
    }
  }

  /** A subscription cannot be changed: a new one takes its place. */
  onInterest(): void {
    if (!this.#isUp) return;
    const wanted = joined(this.#options.desk.wantedElsewhere(this.#options.server));
    const filter = wanted.lists.length + wanted.uris.length === 0 ? '' : filterFor(wanted);
    if (filter === this.#asked) return;
    const former = this.#own;
    this.#own = null;
    this.#asked = filter;
    this.#again?.cancel();
    if (filter !== '') this.#subscribe(filter);
    if (former !== null) this.#options.unsubscribe(former);
  }

  #subscribe(filter: string): void {
    const entry = this.#options.subscribe(filter, () => {
      if (this.#own === entry) this.#later();
    });
    this.#own = entry;
    if (entry === null) this.#later();
  }

  #later(): void {
    this.#own = null;
    this.#again = this.#options.clock.after(AGAIN_MS, () => {
      this.#asked = '';
      this.onInterest();
    });
  }

  #want(): void {
    this.#options.desk.want(this.#options.server, joined([...this.#clients.values()]));
  }
}
