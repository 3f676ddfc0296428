import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { type MessagePeer, type Received, respond } from './message-peer.ts';

export interface WebSocketBehaviour {
  /** False: it chooses no subprotocol. */
  readonly hasSubprotocol?: boolean;
  /** False: it leaves pings unanswered. */
  readonly answersPings?: boolean;
}

/** An MCP server over WebSocket. */
export class McpWebSocketServer implements MessagePeer {
  readonly received: Received[] = [];
  readonly openings: IncomingHttpHeaders[] = [];
  readonly #behaviour: WebSocketBehaviour;
  #server: WebSocketServer | null = null;
  #port = 0;

  constructor(behaviour: WebSocketBehaviour = {}) {
    this.#behaviour = behaviour;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#port}/mcp`;
  }

  get connections(): ReadonlySet<WebSocket> {
    return this.#server?.clients ?? new Set();
  }

  async listen(): Promise<this> {
    const { hasSubprotocol = true, answersPings = true } = this.#behaviour;
    const handleProtocols = (): string | false => (hasSubprotocol ? 'mcp' : false);
    const server = new WebSocketServer({ host: '127.0.0.1', port: this.#port, handleProtocols, autoPong: answersPings });
    server.on('connection', (socket, request) => {
      this.openings.push(request.headers);
      socket.on('error', () => {});
      socket.on('message', (data: Buffer) => {
        const message = JSON.parse(data.toString()) as Received;
        this.received.push(message);
        respond(message, (answer) => socket.send(JSON.stringify(answer)));
      });
    });
    await new Promise((resolve) => server.once('listening', resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
    return this;
  }

  say(message: object | string): void {
    for (const socket of this.connections) socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  drop(): void {
    for (const socket of this.connections) socket.terminate();
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.drop();
    this.#server = null;
    await new Promise((resolve) => server.close(resolve));
  }
}
