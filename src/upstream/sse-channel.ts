import type { LookupFunction } from 'node:net';
import type { Clock, Timer } from '../core/clock.ts';
import { mayRepeat } from '../mcp/methods.ts';
import type { SseEvent } from '../mcp/sse.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import type { Channel, ChannelListener } from './channel.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';
import type { HttpControl } from './http-client.ts';
import { HttpPoster } from './http-poster.ts';
import { WireClient } from './http-wire.ts';
import { SseStream } from './sse-stream.ts';

export interface SseTarget {
  /** `http:` or `https:`, already checked. */
  readonly url: string;
  /** Headers of every request, as a flat list. */
  readonly headers: readonly string[];
  readonly maxMessageBytes: number;
  /** For the stream and its first event together (5 s at most), and for the answer to a POST. */
  readonly timeoutMs: number;
  readonly lookup: LookupFunction;
}

const MAX_OPEN_MS = 5000;
/** Messages on their way at once; each has a connection of its own until it is accepted. */
const MAX_POSTS = 1024;
const MAX_ENDPOINT_BYTES = 8192;
/** `initialize` and `notifications/initialized`: nothing may overtake them. */
const ORDERED_POSTS = 2;

/**
 * The event stream of one connection and the POSTs that go the other way. The server names the address of the POSTs in the
 * stream's first event; one of another origin is refused, or a server could have the gateway post its credentials anywhere.
 */
export class SseChannel implements Channel {
  readonly pid = null;
  readonly #target: SseTarget;
  readonly #listener: ChannelListener;
  readonly #client: WireClient;
  readonly #poster: HttpPoster;
  readonly #stream: HttpControl;
  readonly #opening: Timer;
  #endpoint: string | null = null;
  #accepted = 0;
  #posting = 0;
  /** Waits for those that nothing may overtake. */
  readonly #waiting: Buffer[] = [];
  #isGone = false;

  constructor(target: SseTarget, clock: Clock, listener: ChannelListener) {
    this.#target = target;
    this.#listener = listener;
    const { origin, pathname, search } = new URL(target.url);
    this.#client = new WireClient(origin, target.lookup, clock);
    this.#poster = new HttpPoster(this.#client, clock, MAX_POSTS);
    const stream = new SseStream(target.maxMessageBytes, {
      onEvent: (event) => this.#onEvent(event),
      onOversize: () => this.#onOversize(),
      onGone: (reason) => this.kill(reason),
    });
    const request = { method: 'GET' as const, path: pathname + search, headers: target.headers, body: null };
    this.#stream = this.#client.send(request, stream);
    this.#opening = clock.after(Math.min(target.timeoutMs, MAX_OPEN_MS), () => this.kill('named no address for messages in time'));
  }

  get isOpen(): boolean {
    return this.#endpoint !== null && !this.#isGone;
  }

  send(message: Buffer): boolean {
    if (!this.isOpen) return false;
    if (this.#accepted >= ORDERED_POSTS || this.#posting === 0) return this.#post(message);
    this.#waiting.push(message);
    return true;
  }

  kill(reason: string): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#opening.cancel();
    this.#waiting.length = 0;
    this.#stream.abort();
    void this.#client.close();
    this.#listener.onGone(reason);
  }

  async stop(): Promise<void> {
    this.kill('stopped');
    await Promise.resolve();
  }

  #onOversize(): void {
    this.#listener.onNoise('oversize');
    this.kill('sent an event over the limit');
  }

  #onEvent({ event, data }: SseEvent): void {
    if (this.#isGone) return;
    if (event === 'endpoint' && this.#endpoint === null) return this.#onEndpoint(data);
    if (event === 'message' || event === '') return this.#listener.onMessage(data);
    this.#listener.onNoise('not_json');
  }

  #onEndpoint(data: Buffer): void {
    const { origin } = new URL(this.#target.url);
    const url = data.length > MAX_ENDPOINT_BYTES ? null : URL.parse(data.toString('utf8'), this.#target.url);
    if (url === null) return this.kill('named an address for messages that is none');
    if (url.origin !== origin || url.username !== '' || url.password !== '')
      return this.kill('named an address for messages of another origin, which is refused');
    this.#endpoint = url.pathname + url.search;
    this.#opening.cancel();
    this.#listener.onOpen();
  }

  #post(body: Buffer): boolean {
    const { headers, timeoutMs } = this.#target;
    const request = { method: 'POST' as const, path: this.#endpoint ?? '/', headers, body };
    if (!this.#poster.send(request, timeoutMs, (status) => this.#onPosted(body, status), isRepeatable(body))) return false;
    this.#posting += 1;
    return true;
  }

  #onPosted(body: Buffer, status: number): void {
    this.#posting -= 1;
    this.#accepted += 1;
    if (this.#isGone) return;
    // What a caller wrote cannot cause these two: the server has forgotten the stream.
    if (status === 404 || status === 410) return this.kill(`answered HTTP ${status} to a message`);
    if (status < 200 || status > 299) {
      const detail = status === 0 ? 'did not take the message' : `answered HTTP ${status} to the message`;
      this.#listener.onUndelivered(body, detail, status === 0 || status >= 500 ? 'failed' : 'alive');
    }
    this.#sendWaiting();
  }

  #sendWaiting(): void {
    while (!this.#isGone && (this.#accepted >= ORDERED_POSTS || this.#posting === 0)) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      if (!this.#post(next)) this.#listener.onUndelivered(next, 'too many messages are on their way', 'alive');
    }
  }
}

function isRepeatable(body: Buffer): boolean {
  const message = scanUpstreamMessage(body, { maxDepth: MAX_UPSTREAM_DEPTH });
  return message !== null && mayRepeat(message);
}
