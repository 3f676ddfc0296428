/** Methods that the guard lets through; everything else is refused before a head exists. */
export type HttpMethod = 'POST' | 'GET' | 'DELETE' | 'OPTIONS' | 'HEAD';

/**
 * What is kept of a request's head: copied strings, valid after the listener's callback has returned. An absent
 * header is the empty string; the guard has refused repeated ones. Only what is read here is ever decided on, and
 * nothing of it but `mcpParams` is forwarded to an upstream.
 */
export interface RequestHead {
  /** As received; after a refused method it is the raw method, cut at 16 characters. */
  readonly method: HttpMethod | (string & {});
  /** Path without the query, as received; the guard has refused dot segments, `//`, `%00`, `%2f` and `%5c`. */
  readonly path: string;
  /** Without `?`; empty when absent. */
  readonly query: string;
  /** The connected peer's address, textual, IPv4-mapped IPv6 written as IPv4. */
  readonly peerIp: string;
  /** The client's address: the rightmost untrusted one of the forwarding headers when the peer is a trusted proxy. */
  readonly clientIp: string;
  readonly secure: boolean;
  /** Which of our sockets it came by. */
  readonly entrance: 'main' | 'admin';
  /** Lower-cased `name[:port]`. */
  readonly host: string;
  readonly origin: string;
  readonly authorization: string;
  readonly xApiKey: string;
  readonly contentType: string;
  readonly accept: string;
  readonly sessionId: string;
  readonly protocolVersion: string;
  readonly mcpMethod: string;
  readonly mcpName: string;
  /** Names (lower case) and values of `Mcp-Param-*` headers, flat, in order; null for none. */
  readonly mcpParams: readonly string[] | null;
  readonly lastEventId: string;
  /** The client's `X-Request-ID` when it is sane (1–128 of `A-Za-z0-9._-`), else empty. */
  readonly requestId: string;
  readonly accessControlRequestMethod: string;
  readonly accessControlRequestHeaders: string;
  /** Declared body length in bytes; −1 for a chunked body, 0 for none. */
  readonly bodyBytes: number;
}
