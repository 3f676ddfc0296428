import type { Clock } from '../core/clock.ts';
import type { HttpClient, HttpRequest } from './http-client.ts';
import { HttpPoster } from './http-poster.ts';

/** DELETEs under way at once with one server: thousands of sessions may fall idle in the same second. */
const MAX_OPEN = 32;
/** DELETEs that wait. A session whose DELETE finds no room is left to the server's own idle time. */
const MAX_WAITING = 65_536;
const TIMEOUT_MS = 5000;

/** Of all servers of a worker. */
export class PartingCounts {
  waiting = 0;
  dropped = 0;
}

/** Tells a server of sessions that are over and that nobody asks about: a few at once, in the order in which they ended. */
export class Partings {
  readonly #poster: HttpPoster;
  readonly #counts: PartingCounts;
  readonly #waiting = new Set<HttpRequest>();

  constructor(client: HttpClient, clock: Clock, counts: PartingCounts) {
    this.#poster = new HttpPoster(client, clock, MAX_OPEN);
    this.#counts = counts;
  }

  add(request: HttpRequest): void {
    if (this.#waiting.size >= MAX_WAITING) return void (this.#counts.dropped += 1);
    this.#waiting.add(request);
    this.#counts.waiting += 1;
    this.#send();
  }

  close(): void {
    this.#counts.waiting -= this.#waiting.size;
    this.#waiting.clear();
  }

  #send(): void {
    for (const request of this.#waiting) {
      if (!this.#poster.send(request, TIMEOUT_MS, () => this.#send(), true)) return;
      this.#waiting.delete(request);
      this.#counts.waiting -= 1;
    }
  }
}
