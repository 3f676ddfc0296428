import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { Socket } from 'node:net';
import type { LimitAuthority } from '../core/limit.ts';
import type { Log } from '../core/log.ts';
import type { LeaseAccess } from '../core/messages.ts';
import { LeaseConnection } from './lease-connection.ts';
import { listenPrivately, type PrivateSocket } from './private-socket.ts';

const TOKEN_BYTES = 32;
/** How long a connection may take to say who it is. */
const MEET_MS = 1000;
/** Per worker: its own, and others that still have to say who they are. */
const CONNECTIONS_PER_WORKER = 4;

/** What the primary reports of the connections. */
export interface LeaseServerStats {
  /** Workers that are connected. */
  readonly connected: number;
  /** Connections that were cut: nobody's, not our language, or not read from. */
  readonly faults: number;
}

/**
 * Where workers ask the primary for leases. Whoever connects proves by a secret which worker it is, so that no other
 * process of this user (a child of stdio among them) can spend or see anything.
 */
export class LeaseServer {
  readonly #authority: LimitAuthority;
  readonly #log: Log;
  readonly #tokens = new Map<number, Buffer>();
  readonly #connections = new Map<number, LeaseConnection>();
  #socket: PrivateSocket | null = null;
  /** Not identified yet. */
  readonly #strangers = new Set<Socket>();
  #faults = 0;

  private constructor(authority: LimitAuthority, log: Log) {
    this.#authority = authority;
    this.#log = log;
  }

  /** @throws StartError when there is no place for the socket */
  static async open(authority: LimitAuthority, workers: number, log: Log): Promise<LeaseServer> {
    const server = new LeaseServer(authority, log);
    authority.startRecalls?.((holder, key, recall) => server.recall(holder, key, recall));
    server.#socket = await listenPrivately(workers * CONNECTIONS_PER_WORKER, (socket) => server.#accept(socket));
    return server;
  }

  get stats(): LeaseServerStats {
    return { connected: this.#connections.size, faults: this.#faults };
  }

  /** What the worker that now fills a slot needs; the one before it has been dismissed. */
  admit(slot: number): LeaseAccess {
    const token = randomBytes(TOKEN_BYTES);
    this.#tokens.set(slot, token);
    return { path: this.#socket?.path ?? '', token };
  }

  /** The worker is dead: nothing more is read of it, then what it held counts as spent. */
  dismiss(slot: number): void {
    this.#tokens.delete(slot);
    this.#connections.get(slot)?.destroy();
    this.#connections.delete(slot);
    this.#authority.lost(slot);
  }

  /** As `SendRecall`. */
  recall(slot: number, key: string, recall: number): boolean {
    return this.#connections.get(slot)?.recall(key, recall) === true;
  }

  close(): void {
    this.#tokens.clear();
    for (const connection of this.#connections.values()) connection.destroy();
    for (const socket of this.#strangers) socket.destroy();
    this.#connections.clear();
    this.#socket?.close();
  }

  #accept(socket: Socket): void {
    this.#strangers.add(socket);
    const timer = setTimeout(() => socket.destroy(), MEET_MS);
    const settle = (): void => {
      clearTimeout(timer);
      this.#strangers.delete(socket);
    };
    const connection = new LeaseConnection(socket, this.#authority, (token) => this.#identify(token), {
      identified: (slot) => {
        settle();
        this.#connections.get(slot)?.destroy();
        this.#connections.set(slot, connection);
      },
      fault: (fault, slot) => {
        this.#faults += 1;
        // Strangers are only counted: they could fill the log.
        if (slot !== null) this.#log.warn({ worker: slot, fault }, 'a connection for leases was cut');
      },
    });
    socket.once('close', () => {
      settle();
      // Only the connection: what the worker holds stays its own until it is dead, and its next ask says what is left.
      if (connection.slot !== null && this.#connections.get(connection.slot) === connection) this.#connections.delete(connection.slot);
    });
  }

  #identify(token: Uint8Array): number | null {
    if (token.length !== TOKEN_BYTES) return null;
    for (const [slot, known] of this.#tokens) if (timingSafeEqual(known, token)) return slot;
    return null;
  }
}
