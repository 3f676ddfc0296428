import { createServer } from 'node:net';
import type { HttpRequest, HttpResponse, TemplatedApp, us_listen_socket, us_socket_context_t } from 'uWebSockets.js';
import type { Clock } from '../core/clock.ts';
import type { Application, Listener } from '../core/exchange.ts';
import { SOCKET_PATH } from '../core/message-socket.ts';
import type { Refusal } from '../core/refusal.ts';
import { settleShape } from '../core/shape.ts';
import { createAddressCount } from './address-count.ts';
import { createAddressFormat, createAddressSet } from './client-address.ts';
import { createHeadGuard, type HeadGuard, type Verdict } from './head-guard.ts';
import type { ListenerHooks } from './hooks.ts';
import { LoopQueue } from './loop-queue.ts';
import { loadNative, type NativeModule } from './native.ts';
import type { ListenerSettings } from './settings.ts';
import { UwsConnection } from './uws-connection.ts';
import type { UwsContext } from './uws-context.ts';
import { UwsExchange } from './uws-exchange.ts';
import { UwsSockets } from './uws-sockets.ts';
import { UwsUpgrade } from './uws-upgrade.ts';
import { WebSocketAsk } from './websocket-ask.ts';

const EXCLUSIVE_PORT = 1;
const SHARED_PORT = 0;
/** Any value of this length makes µWS close the connection after the answer. */
const CLOSE_CHARS = 5;
/** A body this small is there with its head, as good as always: its connection needs no care after an early answer. */
const SMALL_BODY_BYTES = 16 * 1024;

/**
 * Starts the µWS engine; rejects when the library is not the verified one or the address cannot be bound (`code` as
 * `node:net` has it). `guard` is replaced by tests only, to show what it is there for.
 */
export async function startUws(
  settings: ListenerSettings,
  application: Application,
  clock: Clock,
  hooks: ListenerHooks = {},
  guard: HeadGuard = createHeadGuard(settings),
): Promise<Listener> {
  const library = await loadNative();
  const server = new UwsServer(library, settings, application, clock, hooks, guard);
  if (!server.listen()) {
    server.close();
    throw await bindError(settings);
  }
  return server;
}

class UwsServer implements Listener, UwsContext {
  readonly settings: ListenerSettings;
  readonly clock: Clock;
  readonly queue: LoopQueue = new LoopQueue();
  readonly addresses: UwsContext['addresses'];
  closedSockets = 0;
  isStopping = false;
  port = 0;
  connections = 0;
  readonly #library: NativeModule;
  readonly #application: Application;
  readonly #hooks: ListenerHooks;
  readonly #guard: HeadGuard;
  readonly #app: TemplatedApp;
  /** Null where no WebSocket is served. */
  readonly #sockets: UwsSockets | null;
  #socket: us_listen_socket | null = null;
  #isClosed = false;
  /** Handed from the first route to the second within one call of the router. */
  #yielded: { readonly raw: HttpResponse; readonly verdict: Verdict } | null = null;
  readonly #addHeader = (name: string, value: string): void => this.#guard.add(name, value);

  constructor(
    library: NativeModule,
    settings: ListenerSettings,
    application: Application,
    clock: Clock,
    hooks: ListenerHooks,
    guard: HeadGuard,
  ) {
    this.settings = settings;
    this.clock = clock;
    this.addresses = createAddressCount(settings.maxConnectionsPerIp, createAddressSet(settings.trustedProxies));
    this.#library = library;
    this.#application = application;
    this.#hooks = hooks;
    this.#guard = guard;
    this.#app = library.App();
    this.#sockets = settings.isWebSocketEnabled ? new UwsSockets(this, () => this.#closed()) : null;
    this.#app.filter((res, change) => this.guarded(() => this.#counted(res, change)));
    this.#route();
    guard.begin('GET', '/', '', '1.1');
    const verdict = guard.finish('', false);
    settleShape(() => new UwsExchange(this, null, new UwsConnection(this, null, '', false), verdict));
  }

  /** µWS tries the route of a method before the one of any method; a second route of the same kind would replace the first. */
  #route(): void {
    const first = (res: HttpResponse, req: HttpRequest): void => this.#entered(res, () => this.#first(res, req));
    this.#app.post('/*', first).get('/*', first).del('/*', first).options('/*', first).head('/*', first);
    this.#app.any('/*', (res, req) => this.#entered(res, () => this.#second(res, req)));
    if (this.#sockets === null) return;
    const upgrade = (res: HttpResponse, req: HttpRequest, socketContext: us_socket_context_t): void =>
      this.#entered(res, () => this.#asked(res, req, socketContext));
    for (const path of [SOCKET_PATH, `${SOCKET_PATH}/*`]) this.#app.ws(path, this.#sockets.behavior(upgrade));
  }

  /** False when the address cannot be bound, for whatever reason: µWS does not say. */
  listen(): boolean {
    const options = this.settings.isPortExclusive ? EXCLUSIVE_PORT : SHARED_PORT;
    // The type declarations lack this form; the library reads host, port, options and callback in this order.
    const listen = this.#app.listen.bind(this.#app) as unknown as (
      host: string,
      port: number,
      options: number,
      callback: (socket: us_listen_socket | false) => void,
    ) => void;
    listen(this.settings.host, this.settings.port, options, (socket) => {
      if (socket === false) return;
      this.#socket = socket;
      this.port = this.#library.us_socket_local_port(socket);
    });
    return this.#socket !== null;
  }

  stopAccepting(): void {
    this.isStopping = true;
    if (this.#socket !== null) this.#library.us_listen_socket_close(this.#socket);
    this.#socket = null;
    this.#sockets?.leave();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.stopAccepting();
    this.#sockets?.close();
    this.#app.close();
  }

  failed(error: unknown): void {
    this.#hooks.failed?.(error);
  }

  guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.failed(error);
    }
  }

  #counted(res: HttpResponse, change: number): void {
    if (change < 0) return this.#closed();
    this.connections += change;
    if (this.connections > this.settings.maxConnections) {
      res.close();
    } else if (this.addresses.isOn) {
      const address = peerAddress(res);
      if (this.addresses.take(address)) res.onAborted(() => this.addresses.give(address));
      else res.close();
    }
  }

  #closed(): void {
    this.connections -= 1;
    this.closedSockets += 1;
  }

  /** A throw that leaves a route would end the process; without an answer or an abort handler µWS would too. */
  #entered(res: HttpResponse, step: () => void): void {
    try {
      step();
    } catch (error) {
      this.failed(error);
      this.guarded(() => res.close());
    }
  }

  #first(res: HttpResponse, req: HttpRequest): void {
    const verdict = this.#judge(res, req);
    const isPlain = verdict.keepsConnection && verdict.head.bodyBytes >= 0 && verdict.head.bodyBytes <= SMALL_BODY_BYTES;
    if (isPlain && !this.addresses.isOn) return this.#accept(res, null, verdict);
    this.#yielded = { raw: res, verdict };
    req.setYield(true);
  }

  /** What the first route yielded, or a method that has no route of its own. */
  #second(res: HttpResponse, req: HttpRequest): void {
    const yielded = this.#yielded;
    this.#yielded = null;
    if (yielded === null) this.#accept(res, null, this.#judge(res, req));
    else this.#accept(res, yielded.raw, yielded.verdict);
  }

  #judge(res: HttpResponse, req: HttpRequest, ask: WebSocketAsk | null = null): Verdict {
    const guard = this.#guard;
    // Undefined without a `?`, whatever the type declarations say.
    const query = req.getQuery() as string | undefined;
    guard.begin(req.getCaseSensitiveMethod(), req.getUrl(), query ?? '', '1.1');
    req.forEach(this.#addHeader);
    if (ask !== null) req.forEach((name, value) => ask.add(name, value));
    return guard.finish(peerAddress(res), false);
  }

  /** A GET that µWS takes for a request for a WebSocket, because it has a key. */
  #asked(res: HttpResponse, req: HttpRequest, socketContext: us_socket_context_t): void {
    const ask = new WebSocketAsk();
    const verdict = this.#judge(res, req, ask);
    const exchange = new UwsUpgrade(this, res, verdict.head, ask.key, socketContext);
    res.onAborted(() => exchange.peerGone());
    this.#serve(exchange, verdict.refusal ?? ask.check());
    exchange.leaveHandler();
  }

  #accept(res: HttpResponse, raw: HttpResponse | null, verdict: Verdict): void {
    const isPeerClosing = verdict.connection.length === CLOSE_CHARS;
    const connection = new UwsConnection(this, raw, verdict.head.peerIp, isPeerClosing);
    const exchange = new UwsExchange(this, res, connection, isPeerClosing ? { ...verdict, keepsConnection: false } : verdict);
    res.onAborted(() => exchange.peerGone());
    if (verdict.head.bodyBytes !== 0) res.onData((chunk, isLast) => exchange.feed(chunk, isLast));
    this.#serve(exchange, verdict.refusal);
  }

  #serve(exchange: UwsExchange | UwsUpgrade, refusal: Refusal | null): void {
    try {
      if (refusal === null) this.#application.handle(exchange);
      else this.#application.refuse(exchange, refusal);
    } catch (error) {
      this.failed(error);
      exchange.fail();
    }
  }
}

const formatAddress = createAddressFormat();

function peerAddress(res: HttpResponse): string {
  return formatAddress(new Uint8Array(res.getRemoteAddress()));
}

/** Asks the operating system, through a plain bind, why the address could not be bound. */
function bindError(settings: ListenerSettings): Promise<Error> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', resolve);
    probe.listen({ host: settings.host, port: settings.port, exclusive: true }, () => {
      probe.close(() => resolve(new Error(`Cannot listen on ${settings.host} port ${settings.port}`)));
    });
  });
}
