import type { Listening, StreamSink } from '../core/upstream-session.ts';

/** Streams that one client may hold open at once: it needs one. */
const MAX_STREAMS = 4;

class Standing implements Listening {
  readonly sink: StreamSink;
  isSlow = false;
  readonly #onLeave: (stream: Standing) => void;

  constructor(sink: StreamSink, onLeave: (stream: Standing) => void) {
    this.sink = sink;
    this.#onLeave = onLeave;
  }

  leave(): void {
    this.#onLeave(this);
  }

  resume(): void {
    this.isSlow = false;
  }
}

/** The standing streams of one session. Each message goes to exactly one of them, the youngest that is read. */
export class StandingStreams {
  readonly #streams = new Set<Standing>();

  get isEmpty(): boolean {
    return this.#streams.size === 0;
  }

  /** Null when there are too many. */
  open(sink: StreamSink): Listening | null {
    if (this.#streams.size >= MAX_STREAMS) return null;
    const stream = new Standing(sink, (left) => void this.#streams.delete(left));
    this.#streams.add(stream);
    queueMicrotask(() => this.#streams.has(stream) && sink.onOpen());
    return stream;
  }

  /** False when nobody reads. */
  deliver(bytes: Buffer): boolean {
    const stream = [...this.#streams].findLast(({ isSlow }) => !isSlow);
    if (stream === undefined) return false;
    stream.isSlow = !stream.sink.onMessage(bytes, false);
    return true;
  }

  end(detail: string): void {
    const all = [...this.#streams];
    this.#streams.clear();
    for (const { sink } of all) sink.onEnd(null, detail);
  }
}
