import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { RequestHead } from '../core/head.ts';
import type { SocketOpener } from '../core/message-socket.ts';
import type { NodeContext } from './node-exchange.ts';
import { NodeSocket } from './node-socket.ts';
import { RawExchange } from './raw-exchange.ts';
import { SUBPROTOCOL } from './websocket-ask.ts';

/** RFC 6455 section 7.4.1: the endpoint is going away. */
const GOING_AWAY = 1001;

/** The WebSockets of one `node:http` listener. */
export class NodeSockets {
  readonly #context: NodeContext;
  readonly #server: WebSocketServer;
  readonly #open = new Set<NodeSocket>();

  constructor(context: NodeContext) {
    this.#context = context;
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: context.settings.maxRequestBytes,
      perMessageDeflate: false,
      handleProtocols: () => SUBPROTOCOL,
    });
  }

  /** The handshake has been checked already; `first` came with it. */
  accept(req: IncomingMessage, socket: Duplex, first: Buffer, opener: SocketOpener): void {
    const { settings, clock } = this.#context;
    this.#server.handleUpgrade(req, socket, first, (webSocket) => {
      const one = new NodeSocket(webSocket, settings, clock, opener, (error) => this.#context.failed(error));
      this.#open.add(one);
      webSocket.once('close', () => this.#open.delete(one));
      if (this.#context.isStopping) one.listener.onLeaving();
    });
  }

  /** The gateway stops: each ends when it has nothing in progress. */
  leave(): void {
    for (const socket of this.#open) socket.listener.onLeaving();
  }

  close(): void {
    for (const socket of this.#open) socket.close(GOING_AWAY, 'shutting down');
  }
}

/** A request for a WebSocket on the `node:http` engine: becomes one, or is answered and its connection closed. */
export class NodeUpgrade extends RawExchange {
  readonly #context: NodeContext;
  readonly #accept: (opener: SocketOpener) => void;

  constructor(context: NodeContext, socket: Duplex, head: RequestHead, accept: (opener: SocketOpener) => void) {
    super(socket, head, context.clock);
    this.#context = context;
    this.#accept = accept;
  }

  /** A tick later, as everything that the application says. */
  readonly upgrade = (open: SocketOpener): void => {
    if (this.isClosed) return;
    this.#context.queue.push({
      runDeferred: () => {
        if (this.isClosed) return;
        this.isClosed = true;
        this.#accept(open);
      },
    });
  };
}
