import type { Clock } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_BUSY, UPSTREAM_DOWN } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import { changeKey, MAX_NEWS_URIS, type NewsInterest, type ServerChange, wants } from '../core/server-news.ts';
import type { InFlight, ListKind, ModernInfo, ReplySink } from '../core/upstream.ts';
import { acknowledgedFor, changeFor, joined, readAcknowledged } from '../mcp/listen-filter.ts';
import type { NewsClient, NewsHub } from './news-desk.ts';

/** Each child that is told of a change says so: so long after the first they are one. */
const GATHER_MS = 50;
/** Subscriptions of clients of this worker. */
const MAX_OPEN = 4096;
/** One caller may have this part of the resources that a worker asks for. */
const SHARE_OF_CALLER = 4;

export interface PoolNewsOptions {
  readonly server: string;
  readonly clock: Clock;
  readonly workers: number;
  /** The way to other workers; null where there are none. */
  readonly desk: NewsHub | null;
  /** What somebody wants to be told is another now. */
  onInterest(): void;
}

/**
 * What the children tell that all callers share (2026-07-28, subscriptions). A client's subscription is the gateway's own to keep: it lasts while children come and go,
 * and each of them, in every worker, is asked for what all clients together want to be told, as nobody knows which of them will hear of it.
 */
export class PoolNews implements NewsHub, NewsClient {
  readonly isShared = false;
  readonly #options: PoolNewsOptions;
  readonly #children = new Set<NewsClient>();
  readonly #open = new Set<Subscription>();
  readonly #gathering = new Set<string>();

  constructor(options: PoolNewsOptions) {
    this.#options = options;
    options.desk?.join(options.server, this);
  }

  get size(): number {
    return this.#open.size;
  }

  /** Somebody listens, in whatever worker. */
  get isWanted(): boolean {
    return this.wantedElsewhere().some(({ lists, uris }) => lists.length + uris.length > 0);
  }

  /** A subscription of a client here: what of it the server can tell is acknowledged. */
  listen(message: Envelope, caller: string, info: ModernInfo, sink: ReplySink): InFlight | Refusal {
    if (this.#open.size >= MAX_OPEN) return UPSTREAM_BUSY;
    const interest = this.#granted(readAcknowledged(message.bytes), caller, info);
    const idToken = message.bytes.toString('utf8', message.idStart, message.idEnd);
    const subscription = new Subscription(idToken, caller, interest, sink, () => {
      if (this.#open.delete(subscription)) this.#changed();
    });
    this.#open.add(subscription);
    this.#changed();
    queueMicrotask(() => subscription.tell(acknowledgedFor(interest, idToken)));
    return subscription;
  }

  close(): void {
    for (const subscription of this.#open) subscription.fail();
  }

  // NewsHub: the children's.

  join(_server: string, child: NewsClient): void {
    this.#children.add(child);
  }

  leave(child: NewsClient): void {
    this.#children.delete(child);
  }

  wantedElsewhere(): readonly NewsInterest[] {
    return [this.#own, ...(this.#options.desk?.wantedElsewhere(this.#options.server) ?? [])];
  }

  told(_server: string, change: ServerChange): void {
    const key = changeKey(change);
    if (this.#gathering.has(key)) return;
    this.#gathering.add(key);
    this.#options.clock.after(GATHER_MS, () => {
      this.#gathering.delete(key);
      this.#options.desk?.told(this.#options.server, change);
      this.onChange(change);
    });
  }

  /** No client's subscription is a child's. */
  want(): void {}

  // NewsClient: the other workers'.

  onChange(change: ServerChange): void {
    // What their tools take from headers may be another now.
    if ('list' in change && change.list === 'tools') for (const child of this.#children) child.onChange(change);
    for (const subscription of this.#open) subscription.tellOf(change);
  }

  onInterest(): void {
    for (const child of this.#children) child.onInterest();
    this.#options.onInterest();
  }

  get #own(): NewsInterest {
    return joined(Array.from(this.#open, ({ interest }) => interest));
  }

  #changed(): void {
    this.#options.desk?.want(this.#options.server, this.#own);
    this.onInterest();
  }

  /** All workers together ask a child for no more than `MAX_NEWS_URIS`, and no caller takes all of that. */
  #granted({ lists, uris }: NewsInterest, caller: string, { legacy }: ModernInfo): NewsInterest {
    const offered = JSON.parse(legacy.capabilitiesJson) as Readonly<Record<string, { listChanged?: unknown; subscribe?: unknown }>>;
    const most = Math.max(Math.floor(MAX_NEWS_URIS / this.#options.workers), SHARE_OF_CALLER);
    const all = new Set(this.#own.uris);
    const theirs = new Set([...this.#open].flatMap((one) => (one.caller === caller ? one.interest.uris : [])));
    const granted: string[] = [];
    for (const uri of offered['resources']?.subscribe === true ? uris : []) {
      all.add(uri);
      theirs.add(uri);
      if (all.size > most || theirs.size > most / SHARE_OF_CALLER) break;
      granted.push(uri);
    }
    return { lists: lists.filter((kind: ListKind) => offered[kind]?.listChanged === true), uris: granted };
  }
}

/** One client's. */
class Subscription implements InFlight {
  readonly caller: string;
  readonly interest: NewsInterest;
  readonly #idToken: string;
  readonly #onEnd: () => void;
  #sink: ReplySink | null;
  #isAcknowledged = false;

  constructor(idToken: string, caller: string, interest: NewsInterest, sink: ReplySink, onEnd: () => void) {
    this.#idToken = idToken;
    this.caller = caller;
    this.interest = interest;
    this.#sink = sink;
    this.#onEnd = onEnd;
  }

  /** The first message. */
  tell(acknowledgement: Buffer): void {
    this.#isAcknowledged = true;
    this.#sink?.onStream();
    this.#sink?.onMessage(acknowledgement);
  }

  tellOf(change: ServerChange): void {
    if (this.#isAcknowledged && wants(this.interest, change)) this.#sink?.onMessage(changeFor(change, this.#idToken));
  }

  fail(): void {
    const sink = this.#end();
    sink?.onFail(UPSTREAM_DOWN, 'closed');
  }

  detach(whenOver: () => void): void {
    this.#end();
    whenOver();
  }

  resume(): void {}

  #end(): ReplySink | null {
    const sink = this.#sink;
    this.#sink = null;
    this.#onEnd();
    return sink;
  }
}
