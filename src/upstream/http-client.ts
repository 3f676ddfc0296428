import type { IncomingHttpHeaders } from 'node:http';

export interface HttpRequest {
  readonly method: 'POST' | 'GET' | 'DELETE';
  /** Path and query. */
  readonly path: string;
  /** Flat list of names and values; `host` and `content-length` are the client's own work. */
  readonly headers: readonly string[];
  readonly body: Buffer | null;
  /** By a connection of its own: a kept one has just let it down. */
  readonly isFresh?: boolean;
}

/** Receives a response. Nothing is called inside `send`, and nothing after `onEnd`, `onError` or `abort`. */
export interface HttpReceiver {
  /** Final responses only, never 1xx. Repeated headers are arrays or joined by commas. */
  onHead(status: number, headers: IncomingHttpHeaders): void;
  onData(chunk: Buffer): void;
  onEnd(): void;
  /**
   * `wasSent` false: no byte of the request has left, the connection could not be made. `isStale`: it was a kept connection, and the
   * peer closed it without a byte of an answer, so probably before the request came.
   */
  onError(error: Error, wasSent: boolean, isStale: boolean): void;
}

export interface HttpControl {
  pause(): void;
  resume(): void;
  /** Gives the response up and closes its connection. */
  abort(): void;
}

/**
 * An HTTP/1.1 client for one origin: keep-alive for a bounded time, no redirects, no retries, no decoding, no deadlines of
 * its own but the one for connecting. The seam between the relay and the wire.
 */
export interface HttpClient {
  send(request: HttpRequest, receiver: HttpReceiver): HttpControl;
  /** Aborts what is in progress and closes every connection. */
  close(): Promise<void>;
}
