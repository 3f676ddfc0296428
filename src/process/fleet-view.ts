import type { Fleet, LimitsView } from '../core/fleet.ts';
import type { ServerStderr, ToPrimary, UpstreamStatus } from '../core/messages.ts';

/** How long a question waits for the primary. */
const ASK_TIMEOUT_MS = 3000;
/** Questions of one kind waiting at a time; more are not asked. */
const MAX_ASKS = 64;

/** Where questions to the primary go. */
export interface Outbox {
  send(message: ToPrimary): void;
}

/** Questions to the primary that wait for their answers. */
class Asks<Answer> {
  readonly #waiting = new Map<number, (answer: Answer | null) => void>();
  #ticket = 0;

  ask(send: (ticket: number) => void, receive: (answer: Answer | null) => void): void {
    if (this.#waiting.size >= MAX_ASKS) return receive(null);
    const ticket = ++this.#ticket;
    const timer = setTimeout(() => this.answer(ticket, null), ASK_TIMEOUT_MS);
    this.#waiting.set(ticket, (answer) => {
      clearTimeout(timer);
      receive(answer);
    });
    send(ticket);
  }

  answer(ticket: number, answer: Answer | null): void {
    const receive = this.#waiting.get(ticket);
    this.#waiting.delete(ticket);
    receive?.(answer);
  }
}

/** A worker's view of the whole gateway, fed by messages of the primary. */
export class FleetView implements Fleet {
  reason = 'starting';
  upstreams: readonly UpstreamStatus[] = [];
  readonly #metrics = new Asks<string>();
  readonly #stderr = new Asks<readonly ServerStderr[]>();
  readonly #limits = new Asks<LimitsView>();
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
