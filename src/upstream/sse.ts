import type { Clock } from '../core/clock.ts';
import type { HttpSettings, UpstreamSettings } from '../core/config.ts';
import type { BackoffOptions } from './backoff.ts';
import type { Channel, ChannelListener, Connector } from './channel.ts';
import { checkHeaders } from './check.ts';
import type { UpstreamDeps } from './deps.ts';
import { commonHeaders } from './http-session.ts';
import { MessageUpstream } from './message-upstream.ts';
import { SseChannel, type SseTarget } from './sse-channel.ts';
import { checkUrl, guardedLookup } from './ssrf.ts';

/** A server behind HTTP+SSE (MCP 2024-11-05, Transports), deprecated and still met; one event stream for all callers of this worker. */
export class SseUpstream extends MessageUpstream {
  constructor(settings: UpstreamSettings, http: HttpSettings, deps: UpstreamDeps) {
    super(settings, new SseConnector(settings, http, deps), deps);
  }
}

export class SseConnector implements Connector {
  readonly backoff: BackoffOptions = { firstMs: 250, maxMs: 5000 };
  readonly arePingsNeeded = true;
  readonly #target: SseTarget;
  readonly #clock: Clock;
  readonly #refused: string | null;

  constructor({ maxResponseBytes, timeoutMs }: UpstreamSettings, http: HttpSettings, { clock, version }: UpstreamDeps) {
    const headers = commonHeaders(http.headers, version);
    this.#target = { url: http.url, headers, maxMessageBytes: maxResponseBytes, timeoutMs, lookup: guardedLookup(http) };
    this.#clock = clock;
    this.#refused = checkUrl(http.url, http) ?? checkHeaders(http.headers);
  }

  refuse(): string | null {
    return this.#refused;
  }

  connect(listener: ChannelListener): Channel {
    return new SseChannel(this.#target, this.#clock, listener);
  }
}
