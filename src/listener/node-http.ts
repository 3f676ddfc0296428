import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import { Server as NetServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '../core/clock.ts';
import { BAD_FRAMING, HEAD_TOO_LARGE, INTERNAL, METHOD_NOT_ALLOWED, REQUEST_TIMEOUT, UNKNOWN_METHOD } from '../core/errors.ts';
import type { Application, Listener } from '../core/exchange.ts';
import { isSocketPath } from '../core/message-socket.ts';
import type { Refusal } from '../core/refusal.ts';
import { createAddressCount, type AddressCount } from './address-count.ts';
import { MINIMAL_HEADERS, minimalBody } from './answer-head.ts';
import { readCertificate, watchCertificate } from './certificate.ts';
import { canonicalAddress, createAddressSet } from './client-address.ts';
import { createHeadGuard, type HeadGuard, type Verdict } from './head-guard.ts';
import type { ListenerHooks } from './hooks.ts';
import { LoopQueue } from './loop-queue.ts';
import { type NodeContext, NodeExchange } from './node-exchange.ts';
import { NodeSockets, NodeUpgrade } from './node-upgrade.ts';
import { RawExchange } from './raw-exchange.ts';
import type { ListenerSettings } from './settings.ts';
import { WebSocketAsk } from './websocket-ask.ts';

const HEAD_TIMEOUT_MS = 12_000;
const CHECK_EVERY_MS = 1000;
const PARSER_HEAD_BYTES = 16 * 1024;
const KEY_CHARS = 24;

/**
 * Starts the `node:http` engine, `node:https` when the settings have TLS; rejects when the certificate is unusable or
 * the address cannot be bound (`code` as `node:net` has it). `guard` is replaced by tests only.
 */
export async function startNodeHttp(
  settings: ListenerSettings,
  application: Application,
  clock: Clock,
  hooks: ListenerHooks = {},
  guard: HeadGuard = createHeadGuard(settings),
): Promise<Listener> {
  const server = new NodeServer(settings, application, clock, hooks, guard);
  try {
    await server.listen();
    return server;
  } catch (error) {
    server.close();
    throw error;
  }
}

class NodeServer implements Listener, NodeContext {
  readonly settings: ListenerSettings;
  readonly clock: Clock;
  readonly queue: LoopQueue = new LoopQueue();
  isStopping = false;
  port = 0;
  connections = 0;
  readonly #application: Application;
  readonly #hooks: ListenerHooks;
  readonly #guard: HeadGuard;
  readonly #server: Server | HttpsServer;
  readonly #addresses: AddressCount;
  /** The latest request of each connection. */
  readonly #current: WeakMap<Duplex, NodeExchange> = new WeakMap();
  readonly #certificateWatch: Timer | null = null;
  /** Null where no WebSocket is served. */
  readonly #sockets: NodeSockets | null;

  constructor(settings: ListenerSettings, application: Application, clock: Clock, hooks: ListenerHooks, guard: HeadGuard) {
    this.settings = settings;
    this.clock = clock;
    this.#application = application;
    this.#hooks = hooks;
    this.#guard = guard;
    this.#addresses = createAddressCount(settings.maxConnectionsPerIp, createAddressSet(settings.trustedProxies));
    this.#sockets = settings.isWebSocketEnabled ? new NodeSockets(this) : null;
    this.#server = createServer(settings);
    this.#certificateWatch = this.#watchCertificate();
    this.#attach();
  }

  listen(): Promise<void> {
    const { host, port, isPortExclusive } = this.settings;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, exclusive: true, reusePort: !isPortExclusive }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.failed(error));
        const address = this.#server.address();
        this.port = address !== null && typeof address === 'object' ? address.port : 0;
        resolve();
      });
    });
  }

  stopAccepting(): void {
    if (this.isStopping) return;
    this.isStopping = true;
    // Not the HTTP server's own `close`, which cuts idle connections off while a request may be on its way.
    NetServer.prototype.close.call(this.#server);
    this.#sockets?.leave();
  }

  close(): void {
    this.isStopping = true;
    this.#certificateWatch?.cancel();
    this.#sockets?.close();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  failed(error: unknown): void {
    this.#hooks.failed?.(error);
  }

  #attach(): void {
    const server = this.#server;
    server.maxHeadersCount = 0;
    server.on('connection', (socket: Socket) => this.#connected(socket));
    server.on('request', (req, res) => this.#requested(req, res, false));
    server.on('checkContinue', (req: IncomingMessage, res: ServerResponse) => this.#requested(req, res, true));
    server.on('checkExpectation', (req: IncomingMessage, res: ServerResponse) => this.#requested(req, res, false));
    server.on('upgrade', (req: IncomingMessage, socket: Duplex, first: Buffer) => this.#upgradeRequested(req, socket, first));
    server.on('connect', (req: IncomingMessage, socket: Duplex) => this.#tunnelRequested(req, socket));
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => this.#clientFailed(error, socket));
  }

  #connected(socket: Socket): void {
    this.connections += 1;
    const address = peerAddress(socket);
    const isCounted = this.connections <= this.settings.maxConnections && this.#addresses.take(address);
    socket.once('close', () => {
      this.connections -= 1;
      if (isCounted) this.#addresses.give(address);
    });
    if (!isCounted) socket.destroy();
  }

  /**
   * A request that comes while another one of its connection is pending, or after the last answer, was pipelined behind
   * something we closed for: it is not looked at, and the connection ends, as on µWS.
   */
  #requested(req: IncomingMessage, res: ServerResponse, isContinueDue: boolean): void {
    const previous = this.#current.get(req.socket);
    if (previous !== undefined && (previous.isPending || previous.isLast)) {
      req.socket.destroy();
      return;
    }
    const verdict = this.#judge(req);
    const exchange = new NodeExchange(this, req, res, verdict, isContinueDue);
    this.#current.set(req.socket, exchange);
    try {
      if (verdict.refusal === null) this.#application.handle(exchange);
      else this.#application.refuse(exchange, verdict.refusal);
    } catch (error) {
      this.failed(error);
      exchange.fail();
    }
  }

  #judge(req: IncomingMessage): Verdict {
    const target = req.url ?? '';
    const mark = target.indexOf('?');
    const path = mark < 0 ? target : target.slice(0, mark);
    this.#guard.begin(req.method ?? '', path, mark < 0 ? '' : target.slice(mark + 1), req.httpVersion);
    const lines = req.rawHeaders;
    for (let i = 0; i + 1 < lines.length; i += 2) this.#guard.add((lines[i] ?? '').toLowerCase(), lines[i + 1] ?? '');
    return this.#guard.finish(peerAddress(req.socket), this.settings.tls !== null);
  }

  /** Only what `isSocketAsked` let through. */
  #upgradeRequested(req: IncomingMessage, socket: Duplex, first: Buffer): void {
    const sockets = this.#sockets;
    if (sockets === null || this.#current.get(socket)?.isPending === true) {
      socket.destroy();
      return;
    }
    const ask = new WebSocketAsk();
    const lines = req.rawHeaders;
    for (let i = 0; i + 1 < lines.length; i += 2) ask.add((lines[i] ?? '').toLowerCase(), lines[i + 1] ?? '');
    const verdict = this.#judge(req);
    const refusal = verdict.refusal ?? ask.check();
    const exchange = new NodeUpgrade(this, socket, verdict.head, (opener) => sockets.accept(req, socket, first, opener));
    if (refusal !== null) return this.#refuseRaw(exchange, refusal);
    try {
      this.#application.handle(exchange);
    } catch (error) {
      this.failed(error);
      exchange.send(INTERNAL.status, MINIMAL_HEADERS, minimalBody(INTERNAL));
    }
  }

  #tunnelRequested(req: IncomingMessage, socket: Duplex): void {
    if (this.#current.get(socket)?.isPending === true) {
      socket.destroy();
      return;
    }
    const verdict = this.#judge(req);
    this.#refuseRaw(new RawExchange(socket, verdict.head, this.clock), verdict.refusal ?? METHOD_NOT_ALLOWED);
  }

  #clientFailed(error: NodeJS.ErrnoException, socket: Duplex): void {
    const current = this.#current.get(socket);
    if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else if (current?.isPending === true) this.#bodyFailed(current, socket, error.code === 'HPE_INVALID_EOF_STATE');
    else if (current?.isLast === true) socket.destroy();
    else this.#unreadable(refusalOf(error), socket);
  }

  #bodyFailed(current: NodeExchange, socket: Duplex, isPeerGone: boolean): void {
    if (!(isPeerGone ? current.bodyCut() : current.bodyBroken())) socket.destroy();
  }

  /** No request could be read: the application answers all the same, with an empty head. */
  #unreadable(refusal: Refusal, socket: Duplex): void {
    this.#guard.begin('', '', '', '');
    const { head } = this.#guard.finish(peerAddress(socket as Socket), this.settings.tls !== null);
    this.#refuseRaw(new RawExchange(socket, head, this.clock), refusal);
  }

  #refuseRaw(exchange: RawExchange, refusal: Refusal): void {
    exchange.onGone = null;
    try {
      this.#application.refuse(exchange, refusal);
    } catch (error) {
      this.failed(error);
      exchange.send(refusal.status, MINIMAL_HEADERS, minimalBody(refusal));
    }
  }

  #watchCertificate(): Timer | null {
    const { tls } = this.settings;
    if (tls === null) return null;
    const server = this.#server as HttpsServer;
    return watchCertificate(
      tls,
      this.clock,
      (pair) => {
        server.setSecureContext(pair);
        this.#hooks.certificateReloaded?.(null);
      },
      (error) => this.#hooks.certificateReloaded?.(error),
    );
  }
}

function createServer(settings: ListenerSettings): Server | HttpsServer {
  const options: ServerOptions & { shouldUpgradeCallback: (req: IncomingMessage) => boolean } = {
    // Elsewhere the header `Upgrade` means nothing, as RFC 9110 section 7.8 permits.
    shouldUpgradeCallback: (req) => settings.isWebSocketEnabled && isSocketAsked(req),
    insecureHTTPParser: false,
    requireHostHeader: false,
    maxHeaderSize: PARSER_HEAD_BYTES,
    headersTimeout: HEAD_TIMEOUT_MS,
    requestTimeout: 0,
    keepAliveTimeout: settings.idleTimeoutMs,
    connectionsCheckingInterval: CHECK_EVERY_MS,
    noDelay: true,
  };
  if (settings.tls === null) return createHttpServer(options);
  return createHttpsServer({ ...options, ...readCertificate(settings.tls), handshakeTimeout: HEAD_TIMEOUT_MS });
}

/** A GET with a key, as µWS sees it; the rest is checked later. */
function isSocketAsked({ method, url = '', headers }: IncomingMessage): boolean {
  return method === 'GET' && isSocketPath(url.split('?')[0] ?? '') && headers['sec-websocket-key']?.length === KEY_CHARS;
}

function refusalOf(error: NodeJS.ErrnoException): Refusal {
  if (error.code === 'HPE_HEADER_OVERFLOW') return HEAD_TOO_LARGE;
  // The parser has a list of methods of its own and reads no further.
  if (error.code === 'HPE_INVALID_METHOD') return UNKNOWN_METHOD;
  return error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? REQUEST_TIMEOUT : BAD_FRAMING;
}

function peerAddress(socket: Socket): string {
  const [address = ''] = (socket.remoteAddress ?? '').split('%');
  return canonicalAddress(address) ?? '';
}
