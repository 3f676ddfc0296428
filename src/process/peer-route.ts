import { connect, type TLSSocket } from 'node:tls';
import type { Packed } from './mesh-link.ts';
import { PeerLine } from './peer-line.ts';
import { isProved, peerDial } from './peer-tls.ts';

/** How long it may take until another host has proved itself; what waits for it waits no longer. */
const CONNECT_MS = 3000;
/** Requests that may wait for another host to read them, or for the connection; further ones are refused. */
const MAX_BACKLOG_BYTES = 16 * 1_048_576;
const MAX_HELD = 4096;

export interface RouteEvents {
  up(): void;
  /** False: it is no message of ours. */
  message(value: unknown): boolean;
  /** Once; nothing follows. `wasUp`: what was sent may have been served; else the `unsent` messages were not. */
  ended(wasUp: boolean, reason: string, unsent: number): void;
}

export interface RouteTarget {
  readonly host: string;
  readonly port: number;
  readonly key: Buffer;
  readonly maxFrameBytes: number;
}

/** The way to one other host, from the first attempt to connect until it is over. Nothing is written before that host has proved itself. */
export class PeerRoute {
  readonly #target: RouteTarget;
  readonly #events: RouteEvents;
  readonly #socket: TLSSocket;
  readonly #late: NodeJS.Timeout;
  #held: Packed[] = [];
  #heldBytes = 0;
  #line: PeerLine | null = null;
  #reason = 'closed';
  #isOver = false;

  constructor(target: RouteTarget, events: RouteEvents) {
    this.#target = target;
    this.#events = events;
    const { host, port, key } = target;
    this.#socket = connect({ ...peerDial(key), host, port });
    this.#late = setTimeout(() => this.#fail('no proof in time'), CONNECT_MS);
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.#fail(error.code ?? error.name));
    this.#socket.once('secureConnect', () => this.#onSecure());
    this.#socket.once('close', () => this.#onClosed());
  }

  get isUp(): boolean {
    return this.#line !== null;
  }

  /** False: too much waits, and this does not. What has no bytes of its own, the end of a stream say, finds room in any case. */
  send(packed: Packed): boolean {
    const backlogBytes = this.#line?.backlogBytes ?? this.#heldBytes;
    const isFull = packed.bytes > 0 && backlogBytes > MAX_BACKLOG_BYTES;
    if (this.#isOver || isFull || this.#held.length >= MAX_HELD) return false;
    if (this.#line !== null) this.#line.send(packed);
    else this.#hold(packed);
    return true;
  }

  /** About every `PING_MS`. */
  tick(): void {
    this.#line?.ping();
    this.#line?.tick();
  }

  destroy(): void {
    this.#fail('closed');
  }

  #hold(packed: Packed): void {
    this.#held.push(packed);
    this.#heldBytes += packed.bytes;
  }

  #onSecure(): void {
    clearTimeout(this.#late);
    if (!isProved(this.#socket)) return this.#fail('not proved');
    const line = new PeerLine(this.#socket, this.#target.maxFrameBytes, {
      message: (value) => this.#events.message(value),
      closed: () => undefined,
    });
    this.#line = line;
    this.#events.up();
    for (const packed of this.#held) line.send(packed);
    this.#held = [];
    this.#heldBytes = 0;
  }

  #fail(reason: string): void {
    this.#reason = reason;
    this.#socket.destroy();
  }

  #onClosed(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#late);
    const unsent = this.#held.length;
    this.#held = [];
    this.#events.ended(this.#line !== null, this.#reason, unsent);
  }
}
