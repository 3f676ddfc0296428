import type { UpstreamSettings, HttpSettings } from '../core/config.ts';
import type { Clock } from '../core/clock.ts';
import type { BackoffOptions } from './backoff.ts';
import type { Channel, ChannelListener, Connector } from './channel.ts';
import { checkHeaders } from './check.ts';
import type { UpstreamDeps } from './deps.ts';
import { MessageUpstream } from './message-upstream.ts';
import { checkUrl, guardedLookup, WEBSOCKET_SCHEMES } from './ssrf.ts';
import { WebSocketChannel, type WebSocketTarget } from './websocket-channel.ts';

/**
 * A server behind a WebSocket, one connection for all callers of this worker. Not a transport of MCP's own: subprotocol `mcp`, one
 * JSON-RPC message per text frame, as the official client and common bridges speak it.
 */
export class WebSocketUpstream extends MessageUpstream {
  constructor(settings: UpstreamSettings, http: HttpSettings, deps: UpstreamDeps) {
    super(settings, new WebSocketConnector(settings, http, deps), deps);
  }
}

/** Opens the connection, again and again. */
export class WebSocketConnector implements Connector {
  readonly backoff: BackoffOptions = { firstMs: 250, maxMs: 5000 };
  readonly arePingsNeeded = false;
  readonly #target: WebSocketTarget;
  readonly #clock: Clock;
  readonly #refused: string | null;

  constructor({ maxResponseBytes, timeoutMs }: UpstreamSettings, http: HttpSettings, { clock, version }: UpstreamDeps) {
    const headers = { 'user-agent': `mcp-guard/${version}`, ...http.headers };
    this.#target = { url: http.url, headers, maxMessageBytes: maxResponseBytes, openMs: timeoutMs, lookup: guardedLookup(http) };
    this.#clock = clock;
    this.#refused = checkUrl(http.url, http, WEBSOCKET_SCHEMES) ?? checkHeaders(http.headers);
  }

  refuse(): string | null {
    return this.#refused;
  }

  connect(listener: ChannelListener): Channel {
    return new WebSocketChannel(this.#target, this.#clock, listener);
  }
}
