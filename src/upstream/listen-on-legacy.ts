import type { Envelope } from '../core/envelope.ts';
import { BAD_PARAMS, METHOD_NOT_FOUND } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import { type NewsInterest, wants } from '../core/server-news.ts';
import type { InFlight, ListKind, ReplySink, RequestOptions, UpstreamInfo } from '../core/upstream.ts';
import type { Listening, StreamSink } from '../core/upstream-session.ts';
import { readModernHello } from '../mcp/hello.ts';
import { acknowledgementOf, changeFor, changeOf, listenResult, readListenFilter } from '../mcp/listen-filter.ts';
import { rpcResult } from '../mcp/messages.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import type { AskingSession, AskingSessions, Lent } from './asking-sessions.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';
import { OwnCall } from './own-call.ts';
import { ownMessage, unansweredMessage } from './own-message.ts';

/** Resources that one subscription may name; the others are not acknowledged. */
const MAX_URIS = 64;

export interface ListenHost {
  readonly sessions: AskingSessions;
  /** What changes at the connection that all share is heard. */
  readonly hearsShared: boolean;
  readonly info: UpstreamInfo;
  over(listen: ListenOnLegacy): void;
}

/**
 * A subscription of revision 2026-07-28 at a server of older ones: the standing stream of a session of its caller's, in which the server tells of
 * changed lists, and of the resources that were subscribed to. Where there are no sessions it hears of what all hear: changed lists.
 */
export class ListenOnLegacy implements InFlight, StreamSink {
  readonly #host: ListenHost;
  readonly #options: RequestOptions;
  readonly #sink: ReplySink;
  readonly #idToken: string;
  readonly #wanted: NewsInterest;
  /** What was acknowledged; null before. */
  #told: NewsInterest | null = null;
  #own: AskingSession | null = null;
  #listening: Listening | null = null;
  #isOver = false;

  constructor(host: ListenHost, message: Envelope, options: RequestOptions, sink: ReplySink) {
    this.#host = host;
    this.#options = { restPath: options.restPath, principalKey: options.principalKey };
    this.#sink = sink;
    this.#idToken = message.bytes.toString('utf8', message.idStart, message.idEnd);
    this.#wanted = offered(readListenFilter(message), host.info);
  }

  begin(message: Envelope): InFlight | Refusal {
    const hello = readModernHello(message);
    if (hello === null) return BAD_PARAMS;
    // Nothing is answered inside.
    queueMicrotask(() => {
      if (this.#isOver) return;
      if (this.#wanted.lists.length + this.#wanted.uris.length === 0) return this.#acknowledge(this.#wanted);
      this.#host.sessions.lend({ ...hello, capabilities: '{}' }, this.#options, (lent) => this.#onLent(lent));
    });
    return this;
  }

  /** The connection that all share says so; null: any list. */
  changed(kind: ListKind | null): void {
    if (this.#own !== null || this.#told === null) return;
    for (const list of this.#told.lists) if (kind === null || kind === list) this.#tell(changeFor({ list }, this.#idToken));
  }

  detach(whenOver: () => void): void {
    this.#leave();
    whenOver();
  }

  resume(): void {
    this.#listening?.resume();
  }

  // StreamSink

  onOpen(): void {
    const { uris } = this.#wanted;
    const agreed: string[] = [];
    let left = uris.length;
    const done = (): void => {
      left -= 1;
      if (left <= 0) this.#acknowledge({ lists: this.#wanted.lists, uris: agreed });
    };
    if (left === 0) return done();
    for (const [index, uri] of uris.entries()) this.#subscribe(index, uri, (isAgreed) => (isAgreed && agreed.push(uri), done()));
  }

  onMessage(bytes: Buffer, isResponse: boolean): boolean {
    const message = isResponse || this.#isOver ? null : scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH });
    if (message === null) return true;
    const idToken = message.kind === 'request' ? bytes.toString('utf8', message.idStart, message.idEnd) : '';
    if (idToken !== '') {
      const answer =
        message.method === 'ping' ? ownMessage(rpcResult(idToken, '{}')) : unansweredMessage(idToken, METHOD_NOT_FOUND, 'Method not found');
      this.#own?.session.respond(answer, this.#options);
      return true;
    }
    const change = changeOf(message.method, bytes);
    return change === null || this.#told === null || !wants(this.#told, change) || this.#tell(changeFor(change, this.#idToken));
  }

  onMark(): void {}

  /** A server without such a stream tells of nothing there; one that ends it is listened to again by who wants that. */
  onEnd(): void {
    this.#listening = null;
    if (this.#isOver) return;
    if (this.#told !== null) return this.#end();
    this.#giveBack();
    this.#shared();
  }

  #onLent(lent: Lent): void {
    if (lent === null) return this.#shared();
    if (isRefusal(lent)) return this.#fail(lent);
    if (this.#isOver) return this.#host.sessions.giveBack(lent, true);
    this.#own = lent;
    const listening = lent.session.listen('', this.#options, this);
    if (isRefusal(listening)) this.onEnd();
    else this.#listening = listening;
  }

  #shared(): void {
    if (!this.#isOver) this.#acknowledge({ lists: this.#host.hearsShared ? this.#wanted.lists : [], uris: [] });
  }

  #subscribe(index: number, uri: string, done: (isAgreed: boolean) => void): void {
    const params = JSON.stringify({ uri });
    const message = ownMessage(`{"jsonrpc":"2.0","id":"subscribe-${index}","method":"resources/subscribe","params":${params}}`);
    const reply = new OwnCall(({ bytes }) =>
      done(bytes !== null && (JSON.parse(bytes.toString('utf8')) as { error?: unknown }).error === undefined),
    );
    const flight = this.#own?.session.request(message, this.#options, reply);
    if (flight === undefined || isRefusal(flight)) done(false);
  }

  /** What nothing comes of ends at once. */
  #acknowledge(told: NewsInterest): void {
    if (this.#isOver) return;
    this.#told = told;
    this.#sink.onStream();
    this.#tell(acknowledgementOf(told, this.#idToken));
    if (told.lists.length + told.uris.length === 0) this.#end();
  }

  #tell(bytes: Buffer): boolean {
    return this.#isOver || this.#sink.onMessage(bytes);
  }

  #end(): void {
    this.#leave();
    this.#sink.onReply(Buffer.from(rpcResult(this.#idToken, listenResult(this.#idToken, this.#host.info.serverInfo))), false, 0);
  }

  #fail(refusal: Refusal): void {
    if (this.#isOver) return;
    this.#leave();
    this.#sink.onFail(refusal, 'has no session for it');
  }

  #leave(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#listening?.leave();
    this.#listening = null;
    this.#giveBack();
    this.#host.over(this);
  }

  /** With all that was subscribed to in it. */
  #giveBack(): void {
    const own = this.#own;
    this.#own = null;
    if (own !== null) this.#host.sessions.giveBack(own, false);
  }
}

/** What of it the server says that it tells. */
function offered({ lists, uris }: NewsInterest, { capabilitiesJson }: UpstreamInfo): NewsInterest {
  const capabilities = JSON.parse(capabilitiesJson) as Readonly<Record<string, Readonly<Record<string, unknown>> | null | undefined>>;
  return {
    lists: lists.filter((list) => capabilities[list]?.['listChanged'] === true),
    uris: capabilities['resources']?.['subscribe'] === true ? uris.slice(0, MAX_URIS) : [],
  };
}
