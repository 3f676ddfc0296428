import type { Clock, Timer } from '../core/clock.ts';

/** After so long without a message the server is pinged; so long may the answer take. */
const QUIET_MS = 5000;
export const PING_TIMEOUT_MS: number = 10_000;

export interface PingHost {
  /** Sends an MCP ping; `done` is called once, with whether it was answered. */
  ping(done: (isAnswered: boolean) => void): void;
  /** A busy server may leave a ping unanswered for a while; one without work may not. */
  isIdle(): boolean;
  giveUp(reason: string): void;
}

/** Finds out that a silent server is gone, where the transport itself would not. Made when the channel is ready. */
export class ChannelPings {
  readonly #clock: Clock;
  readonly #host: PingHost;
  readonly #timer: Timer;
  #signMs: number;
  #isPinging = false;

  constructor(clock: Clock, host: PingHost) {
    this.#clock = clock;
    this.#host = host;
    this.#signMs = clock.nowMs();
    this.#timer = clock.every(QUIET_MS, () => this.#check());
  }

  /** Something came from the server. */
  sign(): void {
    this.#signMs = this.#clock.nowMs();
  }

  close(): void {
    this.#timer.cancel();
  }

  #check(): void {
    if (this.#isPinging || this.#clock.nowMs() - this.#signMs < QUIET_MS) return;
    this.#isPinging = true;
    this.#host.ping((isAnswered) => {
      this.#isPinging = false;
      if (!isAnswered && this.#host.isIdle()) this.#host.giveUp('gives no sign of life');
    });
  }
}
