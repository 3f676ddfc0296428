import type { Upstream, UpstreamEvents, UpstreamState } from '../core/upstream.ts';

/** State and detail of an upstream; tells `events` about changes, once each. `closed` is final. */
export class Status {
  readonly #events: UpstreamEvents;
  #state: UpstreamState = 'starting';
  #detail: string | null = 'not connected yet';

  constructor(events: UpstreamEvents) {
    this.#events = events;
  }

  get state(): UpstreamState {
    return this.#state;
  }

  get detail(): string | null {
    return this.#detail;
  }

  set(upstream: Upstream, state: UpstreamState, detail: string | null): void {
    if (this.#state === 'closed' || (this.#state === state && this.#detail === detail)) return;
    this.#state = state;
    this.#detail = detail;
    this.#events.stateChanged(upstream);
  }
}
