import type { Server, TLSSocket } from 'node:tls';
import { asToCaller, asToOwner, packToCaller, packToOwner, type ToCaller, type ToOwner } from '../core/mesh.ts';
import { isRaw } from '../core/mesh-values.ts';
import { type PeerClient, type PeerFigures, type PeerIncident, type PeerPort } from '../core/peers.ts';
import { asSessionNews, type SessionNews } from '../core/session-news.ts';
import { PeerLine, PING_MS } from './peer-line.ts';
import { PeerRoute } from './peer-route.ts';
import { peerKey, peerServer } from './peer-tls.ts';

/** A host that was out of reach is not called for a while, which doubles with each attempt. */
const FIRST_BACKOFF_MS = 250;
const MAX_BACKOFF_MS = 4000;
const MAX_ROUTES = 1024;
/** Connections of other hosts: one of each of their workers, at most. */
const MAX_CALLERS = 1024;
/** Connections that still have to prove themselves. */
const MAX_STRANGERS = 64;
/** Answers that may wait for a caller beside one of any size; one that leaves more unread is stuck, and its connection is cut. */
const MAX_TO_CALLER_BYTES = 64 * 1_048_576;
/** From here on a caller is told only what it must be told. */
const SLOW_BYTES = 1_048_576;
/** About what one piece of news weighs. */
const NEWS_BYTES = 64;

export interface PeerOptions {
  /** How other hosts reach this one. */
  readonly address: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly secret: string;
  /** Largest frame that one may send another. */
  readonly maxFrameBytes: number;
}

interface Route {
  readonly number: number;
  readonly address: string;
  readonly way: PeerRoute;
}

const NOBODY: PeerClient = {
  connected: () => undefined,
  lost: () => undefined,
  fromOwner: () => undefined,
  fromCaller: () => undefined,
  callerLost: () => undefined,
  news: () => undefined,
};

/**
 * One worker's connections to other hosts: it calls each host that it needs, where any worker may answer, and is called in turn. All workers of
 * a host listen at its one address.
 */
export class Peers implements PeerPort {
  readonly address: string;
  /** Set after building. */
  onIncident: (what: PeerIncident, address: string, reason: string) => void = () => undefined;
  readonly #options: PeerOptions;
  readonly #key: Buffer;
  readonly #server: Server;
  readonly #routes = new Map<number, Route>();
  readonly #byAddress = new Map<string, Route>();
  /** Hosts that were out of reach, until when they are not called. */
  readonly #failed = new Map<string, { readonly failures: number; readonly untilMs: number }>();
  readonly #callers = new Map<number, PeerLine>();
  readonly #ticking: NodeJS.Timeout;
  readonly #counts = { sent: 0, unreachable: 0, busy: 0, refused: 0 };
  #client: PeerClient = NOBODY;
  #strangers = 0;
  #last = 0;
  #isClosed = false;

  private constructor(options: PeerOptions) {
    this.#options = options;
    this.address = options.address;
    this.#key = peerKey(options.secret);
    this.#server = peerServer(this.#key);
    this.#ticking = setInterval(() => this.#tick(), PING_MS).unref();
  }

  /** Listens for other hosts. @throws when the address cannot be bound */
  static async open(options: PeerOptions): Promise<Peers> {
    const peers = new Peers(options);
    try {
      await peers.#listen();
    } catch (error) {
      peers.close();
      throw error;
    }
    return peers;
  }

  get figures(): PeerFigures {
    const out = [...this.#routes.values()].filter(({ way }) => way.isUp).length;
    return { out, in: this.#callers.size, ...this.#counts };
  }

  attach(client: PeerClient): void {
    this.#client = client;
  }

  routeTo(address: string): number {
    const known = this.#byAddress.get(address);
    if (known !== undefined) return known.number;
    const isOut = this.#isClosed || this.#routes.size >= MAX_ROUTES || (this.#failed.get(address)?.untilMs ?? 0) > performance.now();
    const target = isOut ? null : targetOf(address);
    if (target !== null) return this.#dial(address, target);
    this.#counts.unreachable += 1;
    return -1;
  }

  toOwner(number: number, message: ToOwner): boolean {
    const bytes = 'message' in message ? message.message.bytes.length : 0;
    const isSent = this.#routes.get(number)?.way.send({ value: packToOwner(message), bytes }) ?? false;
    this.#counts[isSent ? 'sent' : 'busy'] += 1;
    return isSent;
  }

  /** Whoever cannot be reached may be there again, with other sessions; clients must not wait for that. */
  isGone(): boolean {
    return true;
  }

  toCaller(number: number, message: ToCaller): void {
    const line = this.#callers.get(number);
    if (line === undefined) return;
    if (line.backlogBytes > MAX_TO_CALLER_BYTES) return line.destroy();
    line.send({ value: packToCaller(message), bytes: 'bytes' in message ? message.bytes.length : 0 });
  }

  isSlow(number: number): boolean {
    return (this.#callers.get(number)?.backlogBytes ?? 0) > SLOW_BYTES;
  }

  tell(news: SessionNews): void {
    const bytes = NEWS_BYTES * (news.touched.length + news.ended.length + news.cancelled.length);
    for (const { way } of this.#routes.values()) if (way.isUp) way.send({ value: { type: 'news', news }, bytes });
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#ticking);
    this.#server.close();
    for (const line of this.#callers.values()) line.destroy();
    for (const { way } of this.#routes.values()) way.destroy();
  }

  #listen(): Promise<void> {
    const server = this.#server;
    server.on('connection', (socket) => {
      this.#strangers += 1;
      if (this.#strangers > MAX_STRANGERS) socket.destroy();
    });
    // One of the two follows in any case.
    server.on('secureConnection', (socket) => {
      this.#strangers -= 1;
      this.#onCaller(socket);
    });
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      this.#strangers -= 1;
      this.#refuse(socket.remoteAddress, error.code ?? error.name);
      // A handshake that takes too long is told, and not ended.
      socket.destroy();
    });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#options.listen, () => {
        server.off('error', reject);
        server.on('error', () => undefined);
        resolve();
      });
    });
  }

  #dial(address: string, target: { readonly host: string; readonly port: number }): number {
    this.#last += 1;
    const number = this.#last;
    const way = new PeerRoute(
      { ...target, key: this.#key, maxFrameBytes: this.#options.maxFrameBytes },
      {
        up: () => {
          this.#failed.delete(address);
          this.onIncident('connected', address, '');
        },
        message: (value) => this.#onAnswer(number, value),
        ended: (wasUp, reason, unsent) => this.#onRouteEnded(route, wasUp, reason, unsent),
      },
    );
    const route: Route = { number, address, way };
    this.#routes.set(number, route);
    this.#byAddress.set(address, route);
    this.#client.connected(number);
    return number;
  }

  #onRouteEnded({ number, address }: Route, wasUp: boolean, reason: string, unsent: number): void {
    this.#routes.delete(number);
    this.#byAddress.delete(address);
    if (this.#isClosed) return;
    if (!wasUp) this.#remember(address);
    this.#counts.sent -= unsent;
    this.#counts.unreachable += unsent;
    this.#client.lost(number, wasUp ? 'gone' : 'unreached');
    this.onIncident(wasUp ? 'lost' : 'unreachable', address, reason);
  }

  #remember(address: string): void {
    const failures = this.#failed.get(address)?.failures ?? 0;
    this.#failed.delete(address);
    const [oldest] = this.#failed.keys();
    if (oldest !== undefined && this.#failed.size >= MAX_ROUTES) this.#failed.delete(oldest);
    const waitMs = Math.min(FIRST_BACKOFF_MS * 2 ** Math.min(failures, 16), MAX_BACKOFF_MS);
    this.#failed.set(address, { failures: failures + 1, untilMs: performance.now() + waitMs });
  }

  #onAnswer(number: number, value: unknown): boolean {
    if (isRaw(value) && value['type'] === 'pong') return true;
    const message = asToCaller(value);
    if (message === null || message.type !== 'session' || message.what === 'age') return false;
    this.#client.fromOwner(number, message);
    return true;
  }

  #onCaller(socket: TLSSocket): void {
    if (this.#isClosed || this.#callers.size >= MAX_CALLERS) return void socket.destroy();
    this.#last += 1;
    const number = this.#last;
    const line: PeerLine = new PeerLine(socket, this.#options.maxFrameBytes, {
      message: (value) => {
        const isOurs = this.#onOrder(number, line, value);
        if (!isOurs) this.#refuse(socket.remoteAddress, 'no message of ours');
        return isOurs;
      },
      closed: () => {
        this.#callers.delete(number);
        if (!this.#isClosed) this.#client.callerLost(number);
      },
    });
    this.#callers.set(number, line);
  }

  #onOrder(number: number, line: PeerLine, value: unknown): boolean {
    if (!isRaw(value)) return false;
    if (value['type'] === 'ping') {
      line.pong();
      return true;
    }
    if (value['type'] === 'news') {
      const news = asSessionNews(value['news']);
      if (news !== null) this.#client.news(news);
      return news !== null;
    }
    const order = asToOwner(value);
    if (order === null || order.type !== 'session' || 'caller' in order) return false;
    this.#client.fromCaller(number, order);
    return true;
  }

  #refuse(address: string | undefined, reason: string): void {
    this.#counts.refused += 1;
    this.onIncident('refused', address ?? 'unknown', reason);
  }

  #tick(): void {
    for (const { way } of this.#routes.values()) way.tick();
    for (const line of this.#callers.values()) line.tick();
  }
}

/** Null for what no host advertises. */
function targetOf(address: string): { readonly host: string; readonly port: number } | null {
  const at = address.lastIndexOf(':');
  const [host, port] = [address.slice(0, at), Number(address.slice(at + 1))];
  if (at <= 0 || !Number.isInteger(port) || port < 1 || port > 65_535) return null;
  return { host: host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host, port };
}
