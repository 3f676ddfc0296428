import { WebSocket } from 'ws';
import type { Clock, Timer } from '../core/clock.ts';
import type { MessageSocket, SocketListener, SocketOpener } from '../core/message-socket.ts';
import type { ListenerSettings } from './settings.ts';
import { type FrameWriter, SocketQueue } from './socket-queue.ts';

/** A peer that answered no ping between two of these is gone. */
const PING_EVERY_MS = 30_000;
/** A peer that does not answer our close frame for so long is cut off. */
const CLOSE_MS = 2000;

/** One WebSocket on the `node:http` engine. */
export class NodeSocket implements MessageSocket, FrameWriter {
  readonly listener: SocketListener;
  readonly #clock: Clock;
  readonly #socket: WebSocket;
  readonly #queue: SocketQueue;
  readonly #pings: Timer;
  #isAlive = true;
  #isClosing = false;

  constructor(socket: WebSocket, settings: ListenerSettings, clock: Clock, opener: SocketOpener, failed: (error: unknown) => void) {
    this.#clock = clock;
    this.#socket = socket;
    this.#queue = new SocketQueue({ clock, maxBufferedBytes: settings.maxBufferedBytes, stallMs: settings.stallMs }, this);
    this.#pings = clock.every(PING_EVERY_MS, () => this.#checkLife());
    this.listener = opener(this);
    const guarded = (step: () => void): void => {
      try {
        step();
      } catch (error) {
        failed(error);
        socket.terminate();
      }
    };
    socket.on('message', (data, isBinary) => guarded(() => this.listener.onMessage(isBinary ? null : (data as Buffer))));
    socket.on('pong', () => (this.#isAlive = true));
    socket.on('error', () => socket.terminate());
    socket.on('close', () => guarded(() => this.#closed()));
  }

  send(message: string | Uint8Array): boolean {
    if (this.#isClosing || this.#socket.readyState !== WebSocket.OPEN) return true;
    const isRead = this.#queue.push(message);
    this.#queue.flush();
    return isRead;
  }

  close(code: number, reason: string): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#queue.flushAll();
    this.#socket.close(code, reason);
    this.#clock.after(CLOSE_MS, () => this.#socket.terminate());
  }

  writeFrame(message: string | Uint8Array): boolean {
    this.#socket.send(message, { binary: false }, () => this.#written());
    return this.#socket.bufferedAmount === 0;
  }

  drop(): void {
    this.#queue.clear();
    this.#socket.terminate();
  }

  onDrain(): void {
    this.listener.onDrain();
  }

  #written(): void {
    if (this.#socket.readyState === WebSocket.OPEN && this.#socket.bufferedAmount === 0) this.#queue.drained();
  }

  #checkLife(): void {
    if (!this.#isAlive) return this.#socket.terminate();
    this.#isAlive = false;
    this.#socket.ping();
  }

  #closed(): void {
    this.#pings.cancel();
    this.#queue.clear();
    this.listener.onClose();
  }
}
