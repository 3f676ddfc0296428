import type { Socket } from 'node:net';
import { type LinkEvents, MeshLink, type Packed } from './mesh-link.ts';

/** How often who called says that it is there. */
export const PING_MS: number = 2000;
/** After so many times without a byte the other end is gone, whatever the network says. */
const SILENT_TICKS = 5;

/** One connection between two hosts, once both have proved themselves: messages, and a sign of life from either end. */
export class PeerLine {
  readonly #socket: Socket;
  readonly #link: MeshLink;
  #bytesRead = 0;
  #silentTicks = 0;

  constructor(socket: Socket, maxFrameBytes: number, events: Omit<LinkEvents, 'greeting'>) {
    this.#socket = socket;
    socket.setNoDelay(true);
    this.#link = new MeshLink(socket, { ...events, greeting: () => false });
    this.#link.open(maxFrameBytes);
  }

  get backlogBytes(): number {
    return this.#link.backlogBytes;
  }

  send(packed: Packed): void {
    this.#link.send(packed);
  }

  ping(): void {
    this.#link.send({ value: { type: 'ping' }, bytes: 0 });
  }

  pong(): void {
    this.#link.send({ value: { type: 'pong' }, bytes: 0 });
  }

  /** About every `PING_MS`. Counts own turns and not time: a loop that was busy itself has not listened. */
  tick(): void {
    const { bytesRead } = this.#socket;
    this.#silentTicks = bytesRead === this.#bytesRead ? this.#silentTicks + 1 : 0;
    this.#bytesRead = bytesRead;
    if (this.#silentTicks >= SILENT_TICKS) this.destroy();
  }

  destroy(): void {
    this.#link.destroy();
  }
}
