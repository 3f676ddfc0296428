import type { Health } from '../core/upstream.ts';
import type { BackoffOptions } from './backoff.ts';

/** A connection that carries whole JSON-RPC messages both ways, in order: the pipes of a child, a WebSocket, an event stream with its address for POSTs. */
export interface Channel {
  /** Process group behind it, null for none. */
  readonly pid: number | null;
  /** Messages can be sent. One that is not open yet says so by `onOpen`. */
  readonly isOpen: boolean;
  /** False when the other side does not read what it was sent before: nothing was sent. */
  send(message: Buffer): boolean;
  /** Ends it at once, and whatever stands behind it; `onGone` has been called on return. */
  kill(reason: string): void;
  /** Ends it in good order, within `graceMs`. */
  stop(graceMs: number): Promise<void>;
}

/** Nothing is called inside `Connector.connect`, and nothing after `onGone`. */
export interface ChannelListener {
  /** Only of a channel that was not open at once. */
  onOpen(): void;
  /** One message, whatever it holds; owned by the receiver. */
  onMessage(bytes: Buffer): void;
  /** A message that `send` took did not arrive. `health` of what that tells about the server. */
  onUndelivered(message: Buffer, detail: string, health: Health): void;
  onNoise(kind: 'not_json' | 'oversize'): void;
  /** A line of a child's stderr. */
  onStderr(line: string): void;
  /** Once: it is gone, or could not be made. */
  onGone(reason: string): void;
}

/** Makes the channels of one server, one after the other. */
export interface Connector {
  /** Delays between attempts. */
  readonly backoff: BackoffOptions;
  /** The transport does not notice by itself that a silent server is gone. */
  readonly arePingsNeeded: boolean;
  /** Why none may be made, whatever comes; null when one may. */
  refuse(): string | null;
  /** A string says why there is none this time. */
  connect(listener: ChannelListener): Channel | string;
}
