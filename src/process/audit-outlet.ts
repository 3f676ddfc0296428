import type { AuditPath } from './audit-path.ts';

/** May wait for the primary to read; what comes beyond is not taken. */
const MAX_BACKLOG_BYTES = 8 * 1024 * 1024;

/**
 * Where a worker's audit lines leave for the primary. A primary that is stuck makes nothing grow in the worker: lines are
 * refused, so the sink keeps what it has room for, drops the rest and counts it.
 */
export class AuditOutlet {
  readonly #path: AuditPath;
  #isEnding = false;

  constructor(path: AuditPath) {
    this.#path = path;
  }

  /** False: not taken, to be offered again. */
  send(bytes: Uint8Array, lines: number, dropped: number): boolean {
    if (!this.#isEnding && this.#path.backlogBytes > MAX_BACKLOG_BYTES) return false;
    this.#path.send(bytes, lines, dropped);
    return true;
  }

  /** The worker ends: its last lines, which the sink has bounded, are taken whatever waits. */
  end(): void {
    this.#isEnding = true;
  }

  /** Calls back when everything that was taken is out of this process. */
  flush(done: () => void): void {
    this.#path.flush(done);
  }
}
