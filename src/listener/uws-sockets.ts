import type { HttpRequest, HttpResponse, us_socket_context_t, WebSocketBehavior } from 'uWebSockets.js';
import type { UwsContext } from './uws-context.ts';
import { UwsSocket, type UwsSocketData } from './uws-socket.ts';

/** A peer that answers no ping for so long is gone; µWS sends them in time. */
const IDLE_SECS = 60;
/** RFC 6455 section 7.4.1: the endpoint is going away. */
const GOING_AWAY = 1001;

/** The WebSockets of one µWS listener. */
export class UwsSockets {
  readonly #context: UwsContext;
  readonly #onClosed: () => void;
  readonly #open = new Set<UwsSocket>();

  /** `onClosed`: a connection that had become a WebSocket is closed; µWS does not count it itself. */
  constructor(context: UwsContext, onClosed: () => void) {
    this.#context = context;
    this.#onClosed = onClosed;
  }

  behavior(upgrade: (res: HttpResponse, req: HttpRequest, socketContext: us_socket_context_t) => void): WebSocketBehavior<UwsSocketData> {
    const { settings } = this.#context;
    return {
      compression: 0,
      maxPayloadLength: settings.maxRequestBytes,
      idleTimeout: IDLE_SECS,
      sendPingsAutomatically: true,
      maxBackpressure: settings.maxBufferedBytes,
      upgrade,
      open: (raw) => this.#guarded(() => this.#opened(raw.getUserData(), new UwsSocket(this.#context, raw, raw.getUserData().opener))),
      message: (raw, message, isBinary) =>
        // Copied: the memory is µWS's own and valid during the call.
        this.#guarded(() => raw.getUserData().socket?.listener.onMessage(isBinary ? null : Buffer.from(new Uint8Array(message)))),
      drain: (raw) => this.#guarded(() => raw.getUserData().socket?.drained()),
      close: (raw) => this.#guarded(() => this.#closed(raw.getUserData())),
    };
  }

  /** The gateway stops: each ends when it has nothing in progress. */
  leave(): void {
    for (const socket of this.#open) this.#guarded(() => socket.listener.onLeaving());
  }

  close(): void {
    for (const socket of this.#open) socket.close(GOING_AWAY, 'shutting down');
    for (const socket of this.#open) socket.runDeferred();
  }

  #opened(data: UwsSocketData, socket: UwsSocket): void {
    data.socket = socket;
    this.#open.add(socket);
    if (this.#context.isStopping) socket.listener.onLeaving();
  }

  #closed(data: UwsSocketData): void {
    this.#context.addresses.give(data.peerIp);
    this.#onClosed();
    if (data.socket === null) return;
    this.#open.delete(data.socket);
    data.socket.closed();
  }

  #guarded(step: () => void): void {
    this.#context.guarded(step);
  }
}
