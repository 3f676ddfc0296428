import type { InFlight, ReplySink } from '../core/upstream.ts';

/** A request that the gateway answers for the upstream, a moment later, as an upstream would. */
export class LocalReply implements InFlight {
  #sink: ReplySink | null;

  constructor(sink: ReplySink, reply: string) {
    this.#sink = sink;
    queueMicrotask(() => this.#sink?.onReply(Buffer.from(reply), false, 0));
  }

  detach(whenOver: () => void): void {
    this.#sink = null;
    whenOver();
  }

  resume(): void {}
}
