import type { Timer } from '../core/clock.ts';
import type { Refusal } from '../core/refusal.ts';
import type { Health, InFlight, ListKind, ReplySink } from '../core/upstream.ts';

/** Most requests that wait for one page. */
const MAX_WAITERS = 10_000;

let serial = 0;

/** One request for a list, between its client and whatever answers it. */
export class ListWaiter implements InFlight {
  readonly principalKey: string;
  /** The client's id as raw JSON. */
  readonly idToken: string;
  /** Null once it is answered, or the client is gone. */
  sink: ReplySink | null;
  isOver = false;
  #whenOver: (() => void) | null = null;

  constructor(principalKey: string, idToken: string, sink: ReplySink) {
    this.principalKey = principalKey;
    this.idToken = idToken;
    this.sink = sink;
  }

  detach(whenOver: () => void): void {
    this.sink = null;
    if (this.isOver) whenOver();
    else this.#whenOver = whenOver;
  }

  resume(): void {}

  /** Its wait has ended; the sink is told at most once. */
  end(tell: (sink: ReplySink) => void): void {
    if (this.isOver) return;
    this.isOver = true;
    const { sink } = this;
    this.sink = null;
    if (sink !== null) tell(sink);
    this.#whenOver?.();
    this.#whenOver = null;
  }
}

/** What a fetch tells its cache: called once. */
export interface FetchOwner {
  onFetched(fetch: ListFetch, bytes: Buffer, isError: boolean, code: number): void;
  onFetchFailed(fetch: ListFetch, refusal: Refusal, detail: string): void;
}

type FetchFields = Pick<ListFetch, 'key' | 'kind' | 'epoch' | 'isModern' | 'principalKey' | 'restPath'>;

/** The one request for a page that is under way, for all who want it. Goes on when they leave, and is taken back when all of them took theirs back. */
export class ListFetch implements ReplySink {
  readonly key: string;
  readonly kind: ListKind;
  /** State of the lists of this kind when it began. */
  readonly epoch: number;
  /** In revision 2026-07-28. */
  readonly isModern: boolean;
  /** Who began it. */
  readonly principalKey: string;
  readonly restPath: string;
  readonly waiters: ListWaiter[] = [];
  /** It has taken long: who has an old page does not wait for it. */
  isLate = false;
  /** Until then it is not late. */
  patience: Timer | null = null;
  /** Of its request. */
  readonly id: number = (serial = (serial + 1) % 2 ** 31);
  flight: InFlight | null = null;
  readonly #owner: FetchOwner;

  constructor({ key, kind, epoch, isModern, principalKey, restPath }: FetchFields, owner: FetchOwner) {
    this.key = key;
    this.kind = kind;
    this.epoch = epoch;
    this.isModern = isModern;
    this.principalKey = principalKey;
    this.restPath = restPath;
    this.#owner = owner;
  }

  /** The method begins the key. */
  get method(): string {
    return this.key.slice(0, this.key.indexOf('\n'));
  }

  /** Nobody waits for it any more. */
  get isAbandoned(): boolean {
    return this.waiters.every(({ isOver }) => isOver);
  }

  get isFull(): boolean {
    return this.waiters.length >= MAX_WAITERS;
  }

  onStream(): void {}

  /** Progress and log messages of a request that is the gateway's own concern nobody. */
  onMessage(): boolean {
    return true;
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    this.#owner.onFetched(this, bytes, isError, code);
  }

  onFail(refusal: Refusal, detail: string, _health?: Health): void {
    this.#owner.onFetchFailed(this, refusal, detail);
  }

  /** Clients cannot name a request of the gateway. */
  onCancelled(): void {}
}
