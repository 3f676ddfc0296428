import type { Clock, Timer } from '../core/clock.ts';
import type { ModernInfo } from '../core/upstream.ts';
import { Backoff } from './backoff.ts';
import { isWorthAnotherTry, readDiscoverReply } from './discover.ts';
import { isRefusalOfMethod } from './http-session.ts';
import type { EraVerdict } from './modern-side.ts';
import type { OwnOutcome } from './own-call.ts';

/** `server/discover` is answered at once, or the server does not know it. */
const PROBE_TIMEOUT_MS = 1000;
const FIRST_RETRY_MS = 250;
const MAX_RETRY_MS = 5000;

/** What a server said of itself is asked again; a server that nothing else keeps an eye on, more often. */
const REFRESH_MS = 60_000;
const ALONE_MS = 5000;

/** A server may be upgraded while it runs: that it knows only older revisions is believed for as long. */
const LEGACY_TTL_MS = 5 * 60_000;

/** How a probe ended: its answer, else the HTTP status (0: none). `isUnreachable`: it could not even be sent. */
export interface ProbeAnswer {
  readonly outcome: OwnOutcome;
  readonly status: number;
  readonly isUnreachable: boolean;
}

export interface ModernLinkHost {
  /** Sends `server/discover`; calls back once, never inside. */
  probe(timeoutMs: number, done: (answer: ProbeAnswer) => void): void;
  /** Nothing else finds out whether the server is there. */
  isAlone(): boolean;
  onChange(): void;
}

/**
 * Whether a server speaks revision 2026-07-28: asked by `server/discover`, believed for a while. That a server could not be asked, or
 * refused to talk (401, 403, 5xx), says nothing of its revisions.
 */
export class ModernLink {
  /** Null unless it speaks the revision; kept while it is down. */
  info: ModernInfo | null = null;
  isUp = false;
  isUnreachable = false;
  verdict: EraVerdict = 'asking';
  /** Why it is not up. */
  detail = 'not asked yet';
  readonly #clock: Clock;
  readonly #host: ModernLinkHost;
  readonly #backoff = new Backoff({ firstMs: FIRST_RETRY_MS, maxMs: MAX_RETRY_MS });
  #next: Timer | null = null;
  #isProbing = false;
  /** It contradicted itself the last time. */
  #isSecondTry = false;
  #isClosed = false;

  constructor(clock: Clock, host: ModernLinkHost) {
    this.#clock = clock;
    this.#host = host;
  }

  /** Asks now, unless it is asking. */
  probe(): void {
    if (this.#isProbing || this.#isClosed) return;
    this.#isProbing = true;
    this.#next?.cancel();
    this.#host.probe(PROBE_TIMEOUT_MS, (answer) => this.#onAnswer(answer));
  }

  /** A request could not be delivered. */
  noteUnreachable(detail: string): void {
    if (!this.isUp) return;
    this.isUp = false;
    this.detail = detail;
    this.#host.onChange();
    this.probe();
  }

  close(): void {
    this.#isClosed = true;
    this.isUp = false;
    this.#next?.cancel();
  }

  #onAnswer({ outcome, status, isUnreachable }: ProbeAnswer): void {
    this.#isProbing = false;
    if (this.#isClosed) return;
    this.isUnreachable = isUnreachable;
    const isAskedAgain = !this.#isSecondTry && outcome.bytes !== null && isWorthAnotherTry(outcome.bytes);
    this.#isSecondTry = isAskedAgain;
    if (isAskedAgain) return this.probe();
    if (outcome.bytes !== null) this.#onReply(readDiscoverReply(outcome.bytes));
    else if (isRefusalOfMethod(status)) this.#onReply(outcome.detail);
    else this.#onUnknown(outcome.detail);
    this.#host.onChange();
  }

  #onReply(info: ModernInfo | string): void {
    this.#backoff.reset();
    this.isUp = typeof info !== 'string';
    this.verdict = this.isUp ? 'modern' : 'legacy';
    this.info = typeof info === 'string' ? null : info;
    this.detail = typeof info === 'string' ? info : '';
    this.#schedule(this.isUp ? (this.#host.isAlone() ? ALONE_MS : REFRESH_MS) : LEGACY_TTL_MS);
  }

  #onUnknown(detail: string): void {
    this.isUp = false;
    this.detail = detail;
    if (this.verdict === 'asking') this.verdict = 'unknown';
    this.#schedule(this.#backoff.next());
  }

  #schedule(delayMs: number): void {
    this.#next = this.#clock.after(delayMs, () => this.probe());
  }
}
