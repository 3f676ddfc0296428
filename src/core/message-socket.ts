/** A WebSocket that a client opened, implemented by each listener engine. All calls after its end are ignored. */
export interface MessageSocket {
  /**
   * One text frame. False: the peer reads slowly, and `onDrain` follows; a peer in front of which more than the configured
   * limit waits, or that takes nothing for long, is dropped.
   */
  send(message: string | Uint8Array): boolean;
  /** Closes in good order, with a code of RFC 6455 section 7.4. */
  close(code: number, reason: string): void;
}

/** Hears of one WebSocket. Nothing is called after `onClose`. */
export interface SocketListener {
  /** One message, all its fragments together and no larger than a request may be; null for a binary one. Owned by the receiver. */
  onMessage(message: Buffer | null): void;
  onDrain(): void;
  /** The gateway stops: finish what is in progress and close. */
  onLeaving(): void;
  /** Once, however it ended. */
  onClose(): void;
}

/** Called once the connection has become a WebSocket. */
export type SocketOpener = (socket: MessageSocket) => SocketListener;

/** Whether a WebSocket may be asked for at this path: `/ws` for what `/mcp` is, `/ws/<server>` for `/mcp/<server>`. */
export function isSocketPath(path: string): boolean {
  return path === SOCKET_PATH || path.startsWith(`${SOCKET_PATH}/`);
}

export const SOCKET_PATH: string = '/ws';
