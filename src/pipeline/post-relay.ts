import { NOT_FOUND, OVERLOADED } from '../core/errors.ts';
import type { BodyReceiver, Exchange, HeaderList } from '../core/exchange.ts';
import { fieldPairs } from '../core/field-text.ts';
import { limitFields, type LimitFigures } from '../core/limit-fields.ts';
import type { RequestHead } from '../core/head.ts';
import type { PostAnswer, PostRelay, RelayedPost } from '../core/post-relay.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import { guarded } from './guarded.ts';
import { streamIdOf } from './legacy-sse.ts';
import type { Parts } from './parts.ts';
import { refuse } from './reply.ts';
import { begin } from './settle.ts';

/**
 * Takes a POST whose stream another worker holds there. False: there is no such worker, or nobody known asks. The caller is
 * authenticated here so that a stranger's body is not read, and there again, where it is decided and recorded.
 */
export function relayPost(parts: Parts, exchange: Exchange, relay: PostRelay): boolean {
  const { head } = exchange;
  const owner = parts.legacyStreams.ownerOf(streamIdOf(head.query));
  if (owner === null || head.method !== 'POST' || isRefusal(parts.auth.tryNow(head, parts.clock.wallMs()))) return false;
  exchange.readBody(parts.settings.maxRequestBytes, (body, lost) => {
    if (body === null) return refuseHere(parts, exchange, lost ?? NOT_FOUND);
    relay.send(owner, { head, body }, (answer) => {
      if (answer === null) return refuseHere(parts, exchange, OVERLOADED);
      exchange.send(answer.status, answer.headers, answer.body);
    });
  });
  return true;
}

function refuseHere(parts: Parts, exchange: Exchange, refusal: Refusal): void {
  if (exchange.isClosed) return;
  const context = begin(parts, exchange);
  context.methodLabel = 'messages';
  guarded(parts, context, () => refuse(parts, context, refusal));
}

/** A POST that another worker took, as this one sees it. */
export class RelayedExchange implements Exchange {
  readonly head: RequestHead;
  onGone: (() => void) | null = null;
  onDrain: (() => void) | null = null;
  isClosed = false;
  readonly #body: Buffer;
  readonly #done: (answer: PostAnswer) => void;

  constructor({ head, body }: RelayedPost, done: (answer: PostAnswer) => void) {
    this.head = head;
    this.#body = Buffer.from(body.buffer, body.byteOffset, body.length);
    this.#done = done;
  }

  readBody(_limitBytes: number, receive: BodyReceiver): void {
    queueMicrotask(() => receive(this.#body, null));
  }

  send(status: number, headers: HeaderList, body: string | Uint8Array, figures?: LimitFigures): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#done({
      status,
      headers: [...headers, ...fieldPairs(limitFields(figures))],
      body: typeof body === 'string' ? body : Buffer.from(body).toString('utf8'),
    });
  }

  /** A POST to a stream is never answered with a stream of its own. */
  open(): void {
    this.destroy();
  }

  write(): boolean {
    return true;
  }

  end(): void {}

  destroy(): void {
    this.send(OVERLOADED.status, [], '');
  }
}
