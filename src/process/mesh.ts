import { rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import {
  asToCaller,
  asToOwner,
  type MeshClient,
  type MeshPort,
  packToCaller,
  packToOwner,
  type ToCaller,
  type ToOwner,
} from '../core/mesh.ts';
import type { MeshAccess } from '../core/messages.ts';
import { CallerHandshake, OwnerHandshake } from './mesh-handshake.ts';
import { MeshLink } from './mesh-link.ts';
import { listening } from './private-socket.ts';

/** How long a connection may take to say who it is. */
const MEET_MS = 1000;
/** Wait before connecting again: doubles up to the longest, with jitter. */
const FIRST_BACKOFF_MS = 20;
const MAX_BACKOFF_MS = 500;
/** Requests that may wait for an owner to read them; further ones are refused. */
const MAX_TO_OWNER_BYTES = 16 * 1_048_576;
/** What is said of them beside may wait as well: nobody hears that it was not said. An owner that leaves more unread is stuck, and its connection is cut. */
const MAX_FLOW_BYTES = 16 * 1_048_576;
/** Answers that may wait for a caller beside one of any size; one that leaves more unread is stuck, and its connection is cut. */
const MAX_TO_CALLER_BYTES = 64 * 1_048_576;
/** From here on a caller is told only what it must be told. */
const SLOW_BYTES = 1_048_576;
/** Connections beside those of the other workers, which still have to say who they are. */
const STRANGERS = 16;

/** Whether it is about what is under way already, or nobody waits for what comes of it: lost, a request would hang, or go on for nobody. */
function isFlow(message: ToOwner): boolean {
  return (
    !('message' in message || 'place' in message) && message.type !== 'probe' && !(message.type === 'session' && message.what === 'oldest')
  );
}

/** The way to one owner. */
interface Route {
  link: MeshLink | null;
  isUp: boolean;
  failures: number;
  retry: NodeJS.Timeout | null;
}

const NOBODY: MeshClient = {
  connected: () => undefined,
  lost: () => undefined,
  fromOwner: () => undefined,
  callerConnected: () => undefined,
  callerLost: () => undefined,
  fromCaller: () => undefined,
};

/**
 * One worker's connections to all others, over Unix sockets in a folder that only this user may enter: it calls each of
 * them on a connection of its own, and is called on theirs. Connections are made again until the gateway ends.
 */
export class Mesh implements MeshPort {
  readonly slot: number;
  readonly slots: number;
  readonly #access: MeshAccess;
  readonly #routes: readonly Route[];
  readonly #callers = new Map<number, MeshLink>();
  readonly #strangers = new Set<Socket>();
  /** Callers that will call no more. */
  readonly #gone = new Set<number>();
  #onFarewell: (() => void) | null = null;
  #client: MeshClient = NOBODY;
  #server: Server | null = null;
  #isClosed = false;

  private constructor(access: MeshAccess, slot: number) {
    this.#access = access;
    this.slot = slot;
    this.slots = access.slots;
    this.#routes = Array.from({ length: access.slots }, () => ({ link: null, isUp: false, failures: 0, retry: null }));
  }

  /** Listens for the others; `attach` connects to them. */
  static async open(access: MeshAccess, slot: number): Promise<Mesh> {
    const mesh = new Mesh(access, slot);
    const path = mesh.#pathOf(slot);
    // The one of a worker that was here before.
    rmSync(path, { force: true });
    const server = createServer((socket) => mesh.#accept(socket));
    server.maxConnections = access.slots + STRANGERS;
    await listening(server, path);
    server.unref();
    mesh.#server = server;
    return mesh;
  }

  attach(client: MeshClient): void {
    this.#client = client;
    for (let slot = 0; slot < this.slots; slot++) if (slot !== this.slot) this.#dial(slot);
  }

  toOwner(slot: number, message: ToOwner): boolean {
    const route = this.#routes[slot];
    if (route === undefined || route.link === null || !route.isUp) return false;
    const { backlogBytes } = route.link;
    if (backlogBytes > MAX_TO_OWNER_BYTES && !isFlow(message)) return false;
    // It is stuck: what waits for it ends with the connection.
    const isStuck = backlogBytes > MAX_TO_OWNER_BYTES + MAX_FLOW_BYTES;
    if (isStuck) route.link.destroy();
    if (isStuck) return false;
    route.link.send({ value: packToOwner(message), bytes: 'message' in message ? message.message.bytes.length : 0 });
    return true;
  }

  isGone(slot: number): boolean {
    const route = this.#routes[slot];
    return route === undefined || (!route.isUp && route.failures > 0);
  }

  toCaller(slot: number, message: ToCaller): void {
    const link = this.#callers.get(slot);
    if (link === undefined) return;
    if (link.backlogBytes > MAX_TO_CALLER_BYTES) return link.destroy();
    link.send({ value: packToCaller(message), bytes: 'bytes' in message ? message.bytes.length : 0 });
  }

  isSlow(slot: number): boolean {
    return (this.#callers.get(slot)?.backlogBytes ?? 0) > SLOW_BYTES;
  }

  /**
   * Tells the others that no call comes from here any more, and waits until all of them have said so or are gone, at most
   * `waitMs`.
   */
  async farewell(waitMs: number): Promise<void> {
    for (let slot = 0; slot < this.slots; slot++) this.toOwner(slot, { type: 'bye' });
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, Math.max(waitMs, 0));
    this.#onFarewell = resolve;
    this.#checkFarewell();
    await promise;
    clearTimeout(timer);
  }

  close(): void {
    this.#isClosed = true;
    this.#server?.close();
    for (const socket of this.#strangers) socket.destroy();
    for (const link of this.#callers.values()) link.destroy();
    for (const route of this.#routes) {
      if (route.retry !== null) clearTimeout(route.retry);
      route.link?.destroy();
    }
  }

  #pathOf(slot: number): string {
    return join(this.#access.folder, `w${slot}`);
  }

  #dial(slot: number): void {
    const route = this.#routes[slot];
    if (route === undefined || route.link !== null || this.#isClosed) return;
    if (route.retry !== null) clearTimeout(route.retry);
    route.retry = null;
    const socket = createConnection(this.#pathOf(slot));
    const handshake = new CallerHandshake(this.#access.secret, this.slot, slot);
    const timer = setTimeout(() => socket.destroy(), MEET_MS);
    const link: MeshLink = new MeshLink(socket, {
      greeting: (frame) => {
        const answer = handshake.take(frame);
        if (answer === null) return false;
        if (answer !== 'done') link.sendGreeting(answer);
        else this.#onMet(slot, route, link, timer);
        return true;
      },
      message: (value) => {
        const message = asToCaller(value);
        if (message !== null) this.#client.fromOwner(slot, message);
        return message !== null;
      },
      closed: () => {
        clearTimeout(timer);
        this.#onRouteLost(slot, route);
      },
    });
    route.link = link;
  }

  #onMet(slot: number, route: Route, link: MeshLink, timer: NodeJS.Timeout): void {
    clearTimeout(timer);
    link.open(this.#access.maxFrameBytes);
    route.isUp = true;
    route.failures = 0;
    this.#client.connected(slot);
  }

  #onRouteLost(slot: number, route: Route): void {
    const { isUp } = route;
    route.link = null;
    route.isUp = false;
    if (this.#isClosed) return;
    if (isUp) this.#client.lost(slot);
    // Whether that worker is there is known as soon as it was tried.
    if (isUp) return this.#dial(slot);
    const waitMs = Math.min(FIRST_BACKOFF_MS * 2 ** Math.min(route.failures++, 16), MAX_BACKOFF_MS);
    route.retry = setTimeout(() => this.#dial(slot), waitMs * (0.5 + Math.random() / 2)).unref();
  }

  #accept(socket: Socket): void {
    this.#strangers.add(socket);
    const timer = setTimeout(() => socket.destroy(), MEET_MS);
    const handshake = new OwnerHandshake(this.#access.secret, this.slot);
    let slot = -1;
    const link: MeshLink = new MeshLink(socket, {
      greeting: (frame) => {
        const met = handshake.meet(frame);
        if (met === null || met.slot >= this.slots || met.slot === this.slot) return false;
        slot = met.slot;
        clearTimeout(timer);
        this.#strangers.delete(socket);
        link.open(this.#access.maxFrameBytes);
        link.sendGreeting(met.proof);
        this.#onCaller(slot, link);
        return true;
      },
      message: (value) => {
        const message = asToOwner(value);
        if (message === null) return false;
        if (message.type === 'bye') this.#onBye(slot);
        else this.#client.fromCaller(slot, message);
        return true;
      },
      closed: () => {
        clearTimeout(timer);
        this.#strangers.delete(socket);
        if (slot >= 0) this.#onCallerLost(slot, link);
      },
    });
    link.sendGreeting(handshake.challenge);
  }

  #onCaller(slot: number, link: MeshLink): void {
    const former = this.#callers.get(slot);
    if (former !== undefined) {
      this.#onCallerLost(slot, former);
      former.destroy();
    }
    this.#callers.set(slot, link);
    this.#client.callerConnected(slot);
    // It is there: no use waiting any longer to call it.
    this.#dial(slot);
  }

  #onCallerLost(slot: number, link: MeshLink): void {
    if (this.#callers.get(slot) !== link) return;
    this.#callers.delete(slot);
    if (!this.#isClosed) this.#client.callerLost(slot);
    this.#checkFarewell();
  }

  #onBye(slot: number): void {
    this.#gone.add(slot);
    this.#checkFarewell();
  }

  #checkFarewell(): void {
    if ([...this.#callers.keys()].every((slot) => this.#gone.has(slot))) this.#onFarewell?.();
  }
}
