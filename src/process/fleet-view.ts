import type { Fleet } from '../core/fleet.ts';
import type { ToPrimary, UpstreamStatus } from '../core/messages.ts';

/** How long a scrape waits for the primary before it answers 503. */
const ASK_TIMEOUT_MS = 3000;
/** Scrapes waiting at a time; more are refused. */
const MAX_ASKS = 64;

/** Where questions to the primary go. */
export interface Outbox {
  send(message: ToPrimary): void;
}

/** A worker's view of the whole gateway, fed by messages of the primary. */
export class FleetView implements Fleet {
  reason = 'starting';
  upstreams: readonly UpstreamStatus[] = [];
  readonly #asks = new Map<number, (text: string | null) => void>();
  readonly #link: Outbox;
  #ticket = 0;

  constructor(link: Outbox) {
    this.#link = link;
  }

  update(reason: string, upstreams: readonly UpstreamStatus[]): void {
    this.reason = reason;
    this.upstreams = upstreams;
  }

  metricsText(receive: (text: string | null) => void): void {
    if (this.#asks.size >= MAX_ASKS) return receive(null);
    const ticket = ++this.#ticket;
    const timer = setTimeout(() => this.answer(ticket, null), ASK_TIMEOUT_MS);
    this.#asks.set(ticket, (text) => {
      clearTimeout(timer);
      receive(text);
    });
    this.#link.send({ type: 'ask_metrics', ticket });
  }

  answer(ticket: number, text: string | null): void {
    const receive = this.#asks.get(ticket);
    this.#asks.delete(ticket);
    receive?.(text);
  }
}
