import type { RequestHead } from './head.ts';
import type { LimitFigures } from './limit-fields.ts';
import type { SocketOpener } from './message-socket.ts';
import type { Refusal } from './refusal.ts';

/** Flat list of names and values: `['content-type', 'application/json', …]`. Names lower case, values without CR, LF or NUL. */
export type HeaderList = readonly string[];

/**
 * Receives a request's body or its loss: exactly one call, never inside `readBody`. `body` is owned by the receiver.
 * A refusal means that nothing usable arrived (too large, too slow) and that the connection will close.
 */
export type BodyReceiver = (body: Buffer | null, refusal: Refusal | null) => void;

/**
 * One request and its answer on the wire, implemented by each listener engine. All calls after the end are ignored,
 * so callers may race with a disconnecting client. Answers are never written inside the callback that delivered the
 * request: the engine defers them by a tick where that matters (platform rule R1) and closes the connection after
 * anything but a POST with a single valid Content-Length (R2).
 */
export interface Exchange {
  readonly head: RequestHead;
  /** The answer is complete or the peer is gone. */
  readonly isClosed: boolean;
  /** Its client has this connection and no other way: it cannot fetch the rest of a broken stream (`Last-Event-ID`). Absent: it can. */
  readonly isOnlyWay?: boolean;
  /** Called at most once, when the peer goes away before the answer is complete; never after `send` or `end` finished. */
  onGone: (() => void) | null;
  /** Called when `write` may be called again after it returned false. */
  onDrain: (() => void) | null;
  /** Collects the body, counting bytes as they arrive. */
  readBody(limitBytes: number, receive: BodyReceiver): void;
  /** The whole answer at once. `Content-Length` is added; a HEAD request gets no body. `figures`: of the limit that it tells of. */
  send(status: number, headers: HeaderList, body: string | Uint8Array, figures?: LimitFigures): void;
  /** Starts a streamed answer (chunked). */
  open(status: number, headers: HeaderList, figures?: LimitFigures): void;
  /**
   * One piece of a streamed answer, one `cork` each. False: the peer reads slowly and `onDrain` will follow; what is
   * written all the same is buffered, and the connection is dropped when more than the configured limit waits beside it.
   */
  write(chunk: string | Uint8Array): boolean;
  /** Completes a streamed answer. */
  end(): void;
  /** Drops the connection without an answer. */
  destroy(): void;
  /**
   * Only where a WebSocket of subprotocol `mcp` was asked for and may be: answers with one. `open` is never called when the peer
   * leaves first; then `onGone` is.
   */
  readonly upgrade?: (open: SocketOpener) => void;
}

/** What a listener serves. Neither method throws; each ends in exactly one `send`, `open … end` or `destroy`. */
export interface Application {
  /** A request whose head passed the guard. */
  handle(exchange: Exchange): void;
  /** A request that the guard refused; its head holds what was read, and the engine closes the connection afterwards. */
  refuse(exchange: Exchange, refusal: Refusal): void;
}

/** A bound listener. */
export interface Listener {
  readonly port: number;
  /** Connections open now. */
  readonly connections: number;
  /** Stops accepting; kept connections are closed after their current answer. */
  stopAccepting(): void;
  /** Closes everything at once; also after a failed start. */
  close(): void;
}
