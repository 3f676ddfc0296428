import type { WebSocket } from 'uWebSockets.js';
import type { MessageSocket, SocketListener, SocketOpener } from '../core/message-socket.ts';
import type { Deferred } from './loop-queue.ts';
import { type FrameWriter, SocketQueue } from './socket-queue.ts';
import type { UwsContext } from './uws-context.ts';

/** What µWS keeps with each WebSocket. */
export interface UwsSocketData {
  readonly opener: SocketOpener;
  readonly peerIp: string;
  socket: UwsSocket | null;
}

/** µWS took all of it. */
const SENT = 1;

/**
 * One WebSocket on the µWS engine. Frames leave in a turn of their own, outside of µWS's callbacks, where it would gather several
 * in one cork and lose what a full socket does not take.
 */
export class UwsSocket implements MessageSocket, FrameWriter, Deferred {
  readonly listener: SocketListener;
  readonly #context: UwsContext;
  readonly #queue: SocketQueue;
  /** Null once closed: any use would throw then. */
  #raw: WebSocket<UwsSocketData> | null;
  #closing: { readonly code: number; readonly reason: string } | null = null;

  constructor(context: UwsContext, raw: WebSocket<UwsSocketData>, opener: SocketOpener) {
    const { clock, settings } = context;
    this.#context = context;
    this.#raw = raw;
    this.#queue = new SocketQueue({ clock, maxBufferedBytes: settings.maxBufferedBytes, stallMs: settings.stallMs }, this);
    this.listener = opener(this);
  }

  send(message: string | Uint8Array): boolean {
    if (this.#raw === null || this.#closing !== null) return true;
    const isRead = this.#queue.push(message);
    this.#context.queue.push(this);
    return isRead;
  }

  close(code: number, reason: string): void {
    if (this.#raw === null || this.#closing !== null) return;
    this.#closing = { code, reason };
    this.#context.queue.push(this);
  }

  runDeferred(): void {
    this.#context.guarded(() => {
      if (this.#raw === null) return;
      if (this.#closing === null) return this.#queue.flush();
      this.#queue.flushAll();
      this.#raw?.end(this.#closing.code, this.#closing.reason);
    });
  }

  writeFrame(message: string | Uint8Array): boolean {
    return this.#raw === null || this.#raw.send(message, false, false) === SENT;
  }

  drop(): void {
    this.#queue.clear();
    this.#raw?.close();
  }

  onDrain(): void {
    this.listener.onDrain();
  }

  /** The engine's: some of what it holds was taken. */
  drained(): void {
    if (this.#raw?.getBufferedAmount() === 0) this.#queue.drained();
  }

  /** The engine's: it is closed, `raw` is dead. */
  closed(): void {
    this.#raw = null;
    this.#queue.clear();
    this.listener.onClose();
  }
}
