import type { Clock } from '../core/clock.ts';
import { changeKey, type NewsInterest, type ServerChange, type ServerNews, wants } from '../core/server-news.ts';

/** A server tells each of its subscriptions of the same change: so long after the first the others are told once. */
const GATHER_MS = 50;
/** What a server that all workers reach told this worker itself need not be told by others. */
const KNOWN_MS = 1000;
const MAX_KNOWN = 4096;

/** Where a channel finds out what others want to be told, and tells it. */
export interface NewsHub {
  join(server: string, client: NewsClient): void;
  /** What clients that do not listen by this channel want to be told. */
  wantedElsewhere(server: string): readonly NewsInterest[];
  told(server: string, change: ServerChange): void;
  /** What clients that listen by this channel want to be told now. */
  want(server: string, interest: NewsInterest): void;
  /** The channel is gone for good. */
  leave(client: NewsClient): void;
}

/** A server in this worker, as far as news are concerned. */
export interface NewsClient {
  /** All workers reach the same one: what it tells one it tells all. */
  readonly isShared: boolean;
  /** Resources whose changes are not told between workers, for there are too many; absent where none are taken that are too many. */
  readonly unheard?: number;
  /** Another worker's server said so. */
  onChange(change: ServerChange): void;
  /** What all other workers together want to be told is another now. */
  onInterest(): void;
}

export interface NewsDeskOptions {
  readonly clock: Clock;
  /** This worker. */
  readonly worker: number;
  send(news: ServerNews): void;
}

/**
 * Where workers tell each other what servers of revision 2026-07-28 said, of which each worker has a child or connection of its own. What
 * is sent is bounded by what is wanted, not by what a server says: equal changes within a moment are one.
 */
export class NewsDesk implements NewsHub {
  readonly #options: NewsDeskOptions;
  readonly #clients = new Map<string, NewsClient>();
  /** What is about to be sent or delivered. */
  readonly #gathering = new Set<string>();
  readonly #known = new Map<string, number>();
  /** By server, then by worker: bounded by the configuration. */
  readonly #wanted = new Map<string, Map<number, NewsInterest>>();
  readonly #own = new Map<string, NewsInterest>();

  constructor(options: NewsDeskOptions) {
    this.#options = options;
  }

  join(server: string, client: NewsClient): void {
    this.#clients.set(server, client);
  }

  /** Of each server, the resources whose changes are not told between workers. */
  figures(): { readonly server: string; readonly unheard: number }[] {
    return Array.from(this.#clients, ([server, { unheard = 0 }]) => ({ server, unheard }));
  }

  /** A server lasts as long as its worker. */
  leave(): void {}

  /** What the other workers' clients want to be told of a server. */
  wantedElsewhere(server: string): readonly NewsInterest[] {
    return [...(this.#wanted.get(server)?.values() ?? [])];
  }

  /** The server said so in this worker. Lists are kept by workers whose clients do not listen, too. */
  told(server: string, change: ServerChange): void {
    const key = `${server} ${changeKey(change)}`;
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(key, this.#options.clock.nowMs());
    const isWanted = 'list' in change || this.wantedElsewhere(server).some((interest) => wants(interest, change));
    if (isWanted) this.#gather(`> ${key}`, () => this.#options.send({ server, type: 'change', change }));
  }

  /** What this worker's clients want to be told now. */
  want(server: string, interest: NewsInterest): void {
    this.#own.set(server, interest);
    this.#gather(`? ${server}`, () => this.#sendInterest(server));
  }

  /** Another worker has begun that knows nothing yet. */
  share(): void {
    for (const server of this.#own.keys()) this.#sendInterest(server);
  }

  /** Of another worker. */
  receive(news: ServerNews): void {
    const client = this.#clients.get(news.server);
    if (client === undefined) return;
    if (news.type === 'interest') return this.#onInterest(news.server, client, news.worker, news.interest);
    const { server, change } = news;
    const key = `${server} ${changeKey(change)}`;
    const heardMs = this.#options.clock.nowMs();
    this.#gather(`< ${key}`, () => {
      const isKnown = client.isShared && (this.#known.get(key) ?? Number.NEGATIVE_INFINITY) >= heardMs - KNOWN_MS;
      if (!isKnown) client.onChange(change);
    });
  }

  #onInterest(server: string, client: NewsClient, worker: number, interest: NewsInterest): void {
    const wanted = this.#wanted.get(server) ?? new Map<number, NewsInterest>();
    this.#wanted.set(server, wanted.set(worker, interest));
    client.onInterest();
  }

  #sendInterest(server: string): void {
    const interest = this.#own.get(server);
    if (interest !== undefined) this.#options.send({ server, type: 'interest', worker: this.#options.worker, interest });
  }

  /** What comes until then is part of it: nothing that follows is lost. */
  #gather(key: string, send: () => void): void {
    if (this.#gathering.has(key)) return;
    this.#gathering.add(key);
    this.#options.clock.after(GATHER_MS, () => {
      this.#gathering.delete(key);
      send();
    });
  }
}
