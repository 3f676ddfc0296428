import type { Fleet, LimitsView } from '../core/fleet.ts';
import type { ServerStderr, ToPrimary, UpstreamStatus } from '../core/messages.ts';
import { Asks } from './asks.ts';

/** Of the questions of one kind. */
const LIMITS = { timeoutMs: 3000, max: 64 };

/** Where questions to the primary go. */
export interface Outbox {
  send(message: ToPrimary): void;
}

/** A worker's view of the whole gateway, fed by messages of the primary. */
export class FleetView implements Fleet {
  reason = 'starting';
  upstreams: readonly UpstreamStatus[] = [];
  readonly #metrics = new Asks<string>(LIMITS);
  readonly #stderr = new Asks<readonly ServerStderr[]>(LIMITS);
  readonly #limits = new Asks<LimitsView>(LIMITS);
  readonly #link: Outbox;

  constructor(link: Outbox) {
    this.#link = link;
  }

  update(reason: string, upstreams: readonly UpstreamStatus[]): void {
    this.reason = reason;
    this.upstreams = upstreams;
  }

  metricsText(receive: (text: string | null) => void): void {
    this.#metrics.ask((ticket) => this.#link.send({ type: 'ask_metrics', ticket }), receive);
  }

  metricsAnswered(ticket: number, text: string): void {
    this.#metrics.answer(ticket, text);
  }

  stderr(receive: (servers: readonly ServerStderr[] | null) => void): void {
    this.#stderr.ask((ticket) => this.#link.send({ type: 'ask_stderr', ticket }), receive);
  }

  stderrAnswered(ticket: number, servers: readonly ServerStderr[]): void {
    this.#stderr.answer(ticket, servers);
  }

  limits(receive: (limits: LimitsView | null) => void): void {
    this.#limits.ask((ticket) => this.#link.send({ type: 'ask_limits', ticket }), receive);
  }

  limitsAnswered(ticket: number, limits: LimitsView): void {
    this.#limits.answer(ticket, limits);
  }
}
