import type { ToPrimary, ToWorker } from '../core/messages.ts';
import type { Link } from './link.ts';

/** May wait for the primary to read; what comes beyond is not taken. */
const MAX_BACKLOG_BYTES = 8 * 1024 * 1024;

/**
 * Where a worker's audit lines leave for the primary. A primary that is stuck makes nothing grow in the worker: lines are
 * refused, so the sink keeps what it has room for, drops the rest and counts it.
 */
export class AuditOutlet {
  readonly #link: Pick<Link<ToPrimary, ToWorker>, 'send' | 'backlogBytes'>;
  #isEnding = false;

  constructor(link: Pick<Link<ToPrimary, ToWorker>, 'send' | 'backlogBytes'>) {
    this.#link = link;
  }

  /** False: not taken, to be offered again. */
  send(bytes: Uint8Array, lines: number, dropped: number): boolean {
    if (!this.#isEnding && this.#link.backlogBytes > MAX_BACKLOG_BYTES) return false;
    this.#link.send({ type: 'audit', bytes, lines, dropped });
    return true;
  }

  /** The worker ends: its last lines, which the sink has bounded, are taken whatever waits. */
  end(): void {
    this.#isEnding = true;
  }
}
