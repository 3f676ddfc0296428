import type { Envelope } from '../core/envelope.ts';
import { BAD_PARAMS, METHOD_NOT_FOUND, SESSION_UNKNOWN, UPSTREAM_BUSY, UPSTREAM_FAILED, UPSTREAM_INVALID } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { Health, InFlight, ReplySink, RequestOptions } from '../core/upstream.ts';
import type { ClientHello } from '../core/upstream-session.ts';
import { asLegacyRequest } from '../mcp/era-requests.ts';
import { askedCapability, inputRequired, type InputQuestion, readInputAnswers, requestDigest } from '../mcp/input-required.ts';
import { rpcResult } from '../mcp/messages.ts';
import { splice } from '../mcp/splice.ts';
import { scanUpstreamMessage, type UpstreamMessage } from '../mcp/upstream-message.ts';
import type { AskingSession, AskingSessions } from './asking-sessions.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';
import { cancelledByToken } from './handshake.ts';
import { ModernReply } from './modern-reply.ts';
import { answerMessage, ownMessage, unansweredMessage } from './own-message.ts';
import { LOG_MESSAGE, PROGRESS } from './rewrite.ts';

/** Times that the client is asked within one call, and questions that wait for it at once: a server may ask without end. */
const MAX_ROUNDS = 32;
const MAX_QUESTIONS = 8;
const NOBODY_ASKED = -32_000;

/** What a call needs of the book of those that wait. */
export interface AskingHost {
  readonly sessions: AskingSessions;
  /** Keeps the call until its client comes back with this state; null when there is no room. */
  park(call: AskingCall): string | null;
  /** It waits no more. */
  unpark(call: AskingCall): void;
  serverInfo(): string;
}

interface Question extends InputQuestion {
  /** The server's id of it, as raw JSON. */
  readonly idToken: string;
}

/** The request of the client that is answered next: each time that it comes back, it is another one. */
interface Client {
  readonly sink: ReplySink;
  readonly reply: ModernReply;
  /** Raw JSON of its progress token; null without one. */
  readonly token: string | null;
}

/**
 * A call of revision 2026-07-28 in a session with a server of an older one. What the server asks within it becomes the answer (Multi Round-Trip
 * Requests); the call itself goes on, and waits for the client to come back.
 */
export class AskingCall implements ReplySink {
  readonly caller: string;
  /** What is asked for: whoever comes back has to ask for the same. */
  readonly digest: string;
  readonly #host: AskingHost;
  readonly #options: RequestOptions;
  readonly #hello: ClientHello;
  readonly #capabilities: Readonly<Record<string, unknown>>;
  readonly #idToken: string;
  readonly #wantsLogs: boolean;
  /** As it goes to the server; null once nobody will have to send it again. */
  #legacy: Envelope | null;
  /** Sends it the way that all share, for a server that keeps no sessions. */
  readonly #shared: (client: ReplySink) => InFlight | Refusal;
  readonly #questions = new Map<string, Question>();
  #client: Client | null = null;
  #own: AskingSession | null = null;
  #flight: InFlight | null = null;
  #asked = 0;
  #rounds = 0;
  #isResent = false;
  /** It is taken back, and hears so. */
  #isGivenUp = false;
  /** How it ended while its client was away. */
  #ending: ((client: Client) => void) | null = null;
  #isOver = false;

  /** `idToken`: its id in the session, as raw JSON. */
  constructor(
    host: AskingHost,
    message: Envelope,
    options: RequestOptions,
    hello: ClientHello,
    idToken: string,
    shared: (client: ReplySink) => InFlight | Refusal,
  ) {
    this.#host = host;
    // A client of this revision knows no position in a stream.
    this.#options = { restPath: options.restPath, principalKey: options.principalKey, isFetchedHere: true };
    this.#hello = hello;
    this.#capabilities = JSON.parse(hello.capabilities) as Readonly<Record<string, unknown>>;
    this.#idToken = idToken;
    this.#wantsLogs = (message.modern?.logLevelStart ?? -1) >= 0;
    this.#legacy = asLegacyRequest(message, idToken);
    this.#shared = shared;
    this.caller = options.principalKey;
    this.digest = requestDigest(message);
  }

  begin(message: Envelope, sink: ReplySink): InFlight | Refusal {
    if (this.#legacy === null) return BAD_PARAMS;
    const client = this.#attach(message, sink);
    let refused: Refusal | null = null;
    let isInside = true;
    this.#lend((refusal) => {
      if (isInside) refused = refusal;
      else this.#end((one) => one.sink.onFail(refusal, 'has no session for it'));
    });
    isInside = false;
    return refused ?? this.#flightOf(client);
  }

  /** Its client is back, with answers. A refusal when what it asks for is something else: then the call waits on. */
  resume(message: Envelope, sink: ReplySink): InFlight | Refusal {
    const brought = readInputAnswers(message);
    if (brought === null || this.#client !== null || requestDigest(message) !== this.digest) return BAD_PARAMS;
    this.#host.unpark(this);
    const client = this.#attach(message, sink);
    // Nothing is answered inside.
    queueMicrotask(() => {
      if (this.#client === client) this.#goOn(client, brought.answers);
    });
    return this.#flightOf(client);
  }

  /** Nobody comes back for it. */
  abandon(reason: string): void {
    this.#cancel(reason);
  }

  // ReplySink: of the session

  onStream(): void {
    this.#client?.sink.onStream();
  }

  onMessage(bytes: Buffer): boolean {
    const message = scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH });
    if (message === null || this.#isOver) return true;
    if (message.kind === 'request') this.#onQuestion(bytes, message);
    if (this.#client === null || message.kind !== 'notification') return true;
    const { sink, token } = this.#client;
    if (message.method === LOG_MESSAGE && this.#wantsLogs) return sink.onMessage(bytes);
    if (message.method !== PROGRESS || token === null || message.tokenStart < 0) return true;
    return sink.onMessage(splice(bytes, [{ start: message.tokenStart, end: message.tokenEnd, text: token }]));
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    this.#end((client) => client.reply.deliver(client.sink, bytes, isError, code, this.#host.serverInfo()));
  }

  onFail(refusal: Refusal, detail: string, health?: Health): void {
    if (refusal === SESSION_UNKNOWN) return this.#onSessionLost(detail);
    this.#end((client) => client.sink.onFail(refusal, detail, health), false);
  }

  onSuspended(): void {
    this.#giveUp(UPSTREAM_FAILED, 'gave its answer elsewhere');
  }

  onDeferred(): void {
    this.#giveUp(UPSTREAM_FAILED, 'put its answer off');
  }

  onCancelled(): void {
    if (!this.#isGivenUp) this.onFail(UPSTREAM_FAILED, 'was cancelled');
  }

  #attach(message: Envelope, sink: ReplySink): Client {
    const { bytes, tokenStart, tokenEnd } = message;
    const token = tokenStart < 0 ? null : bytes.toString('utf8', tokenStart, tokenEnd);
    const client = { sink, reply: new ModernReply(message), token };
    this.#client = client;
    return client;
  }

  #lend(refused: (refusal: Refusal) => void): void {
    this.#host.sessions.lend(this.#hello, this.#options, (lent) => {
      if (lent === null) this.#share();
      else if (isRefusal(lent)) refused(lent);
      else this.#send(lent, refused);
    });
  }

  #send(own: AskingSession, refused: (refusal: Refusal) => void): void {
    if (this.#isOver || this.#legacy === null) return this.#host.sessions.giveBack(own, true);
    const flight = own.session.request(this.#legacy, this.#options, this);
    if (!isRefusal(flight)) {
      this.#own = own;
      this.#flight = flight;
      return;
    }
    this.#host.sessions.giveBack(own, false);
    // It was lost while it was idle: there may be another.
    if (flight === SESSION_UNKNOWN) this.#lend(refused);
    else refused(flight);
  }

  /** The server has forgotten the session, and run nothing: that is the gateway's to mend, once. */
  #onSessionLost(detail: string): void {
    const isMended = !this.#isResent && this.#asked === 0 && !this.#isOver;
    if (!isMended) return this.#end((client) => client.sink.onFail(UPSTREAM_FAILED, detail), false);
    this.#isResent = true;
    this.#release(false);
    this.#lend((refusal) => this.#end((client) => client.sink.onFail(refusal, detail)));
  }

  #share(): void {
    const client = this.#client;
    if (this.#isOver || client === null) return;
    const flight = this.#shared(client.sink);
    this.#isOver = true;
    this.#client = null;
    this.#legacy = null;
    if (isRefusal(flight)) queueMicrotask(() => client.sink.onFail(flight, 'refused'));
    else this.#flight = flight;
  }

  #onQuestion(bytes: Buffer, message: UpstreamMessage): void {
    const idToken = bytes.toString('utf8', message.idStart, message.idEnd);
    if (message.method === 'ping') return this.#respond(ownMessage(rpcResult(idToken, '{}')));
    const capability = askedCapability(message.method);
    const isDeclared = capability !== undefined && this.#capabilities[capability] !== undefined;
    if (!isDeclared) return this.#respond(unansweredMessage(idToken, METHOD_NOT_FOUND, 'Method not found'));
    if (this.#questions.size >= MAX_QUESTIONS) return this.#respond(unansweredMessage(idToken, NOBODY_ASKED, 'Too many questions'));
    const params: unknown = (JSON.parse(bytes.toString('utf8')) as { readonly params?: unknown }).params;
    this.#asked += 1;
    const question = { idToken, method: message.method, params: params === undefined ? null : JSON.stringify(params) };
    this.#questions.set(`question-${this.#asked}`, question);
    if (this.#client !== null) this.#ask(this.#client);
  }

  /** The answer to the client's request is what the server wants to know; the call waits. */
  #ask(client: Client): void {
    this.#rounds += 1;
    if (this.#rounds > MAX_ROUNDS) return this.#giveUp(UPSTREAM_INVALID, 'asks without end');
    const state = this.#host.park(this);
    if (state === null) return this.#giveUp(UPSTREAM_BUSY, 'too many calls wait for their clients');
    this.#client = null;
    this.#legacy = null;
    // Nobody reads slowly any more.
    this.#flight?.resume();
    client.sink.onReply(Buffer.from(inputRequired(client.reply.idToken, this.#questions, state, this.#host.serverInfo())), false, 0);
  }

  #goOn(client: Client, answers: ReadonlyMap<string, unknown>): void {
    if (this.#ending !== null) return this.#deliver(client, this.#ending);
    for (const [key, { idToken }] of this.#questions) {
      const answer = answers.has(key) ? answerMessage(idToken, answers.get(key)) : null;
      if (answer === null) continue;
      this.#questions.delete(key);
      this.#respond(answer);
    }
    if (this.#questions.size > 0) this.#ask(client);
  }

  #giveUp(refusal: Refusal, detail: string): void {
    this.#isGivenUp = true;
    this.#cancelUpstream(detail);
    this.#end((client) => client.sink.onFail(refusal, detail), false);
  }

  #respond(answer: Envelope): void {
    this.#own?.session.respond(answer, this.#options);
  }

  /** Its outcome waits when the client is away. */
  #end(ending: (client: Client) => void, isUsable = true): void {
    if (this.#isOver || this.#ending !== null) return;
    this.#release(isUsable);
    if (this.#client === null) this.#ending = ending;
    else this.#deliver(this.#client, ending);
  }

  #deliver(client: Client, ending: (client: Client) => void): void {
    this.#isOver = true;
    this.#client = null;
    ending(client);
  }

  #cancel(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#client = null;
    this.#cancelUpstream(reason);
    this.#release(false);
  }

  #cancelUpstream(reason: string): void {
    const { session } = this.#own ?? {};
    if (session === undefined) return;
    for (const { idToken } of this.#questions.values())
      this.#respond(unansweredMessage(idToken, NOBODY_ASKED, 'The client cannot be reached'));
    this.#questions.clear();
    session.notify(ownMessage(cancelledByToken(this.#idToken, reason).toString('utf8')), this.#options);
  }

  /** A session in which something may still be under way is nobody's any more. */
  #release(isUsable: boolean): void {
    const own = this.#own;
    this.#own = null;
    if (own !== null) this.#host.sessions.giveBack(own, isUsable && this.#questions.size === 0);
  }

  /** A client of this revision that leaves cancels, unless it was answered before. */
  #flightOf(client: Client): InFlight {
    const leave = (): void => {
      if (this.#client === client) this.#cancel('the client left');
      else if (this.#own === null && this.#isOver) this.#flight?.detach(() => undefined);
    };
    return {
      detach: (whenOver) => {
        leave();
        whenOver();
      },
      gone: leave,
      resume: () => this.#flight?.resume(),
    };
  }
}
