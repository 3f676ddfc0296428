import type { Clock, Timer } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_INVALID, UPSTREAM_TIMEOUT } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { Health, InFlight, ReplySink } from '../core/upstream.ts';
import { asLegacyReply } from '../mcp/era-replies.ts';
import { askedCapability, type InputWanted, readInputRequired, withAnswers } from '../mcp/input-required.ts';
import { rpcError } from '../mcp/messages.ts';
import type { KeptRequest } from './kept-reply.ts';

/** Times that the client is asked within one call, and questions at once: a server may ask without end. */
const MAX_ROUNDS = 32;
const MAX_QUESTIONS = 8;
/** So long the client may take to answer: it may have to ask a person. */
const ANSWER_MS = 300_000;
/** A server that wants nothing but to be asked again is not asked at once. */
const AGAIN_MS = 250;
/** What the user says who is not there to say it (elicitation). */
const NO_ANSWER = '{"action":"cancel"}';

/** A client's answer to a question: a result as JSON text, or the error that it has instead. */
export type Answer = { readonly result: string } | { readonly error: AnswerError };

/** An error of JSON-RPC. */
export interface AnswerError {
  readonly code: number;
  readonly message: string;
}

/** What a call needs of its session. */
export interface AnsweringHost {
  readonly clock: Clock;
  /** What the client declared that it can be asked. */
  readonly abilities: Readonly<Record<string, unknown>>;
  /** To the server, in revision 2026-07-28. */
  send(message: Envelope, sink: ReplySink): InFlight | Refusal;
  /** A number for a question that the client gets; its answer comes to `onAnswer`. */
  numbered(call: AnsweringCall, key: string): string;
  /** It is over: nobody waits for answers any more. */
  over(call: AnsweringCall): void;
}

/**
 * A request of an older revision at a server of 2026-07-28. Where the server wants to know something first (Multi Round-Trip Requests), its client is
 * asked in the stream of the request, as a server of its own revision would ask, and the request is sent again with the answers.
 */
export class AnsweringCall implements ReplySink, KeptRequest {
  readonly idToken: string;
  isDone = false;
  readonly #host: AnsweringHost;
  /** In revision 2026-07-28, as it was sent first. */
  readonly #message: Envelope;
  #sink: ReplySink | null = null;
  #flight: InFlight | null = null;
  #wanted: InputWanted | null = null;
  readonly #answers = new Map<string, string>();
  #rounds = 0;
  #late: Timer | null = null;

  constructor(host: AnsweringHost, message: Envelope) {
    this.#host = host;
    this.#message = message;
    this.idToken = message.bytes.toString('utf8', message.idStart, message.idEnd);
  }

  /** Null: it is on its way. */
  begin(sink: ReplySink): Refusal | null {
    const flight = this.#host.send(this.#message, this);
    if (isRefusal(flight)) return flight;
    this.#sink = sink;
    this.#flight = flight;
    return null;
  }

  resume(): void {
    this.#flight?.resume();
  }

  /** The client takes it back. */
  cancel(): void {
    this.#abandon();
    this.#end((sink) => sink.onCancelled());
  }

  /** For a reason of the gateway. */
  fail(refusal: Refusal, detail: string): void {
    this.#abandon();
    this.#end((sink) => sink.onFail(refusal, detail));
  }

  onAnswer(key: string, answer: Answer): void {
    const question = this.#wanted?.questions.get(key);
    if (this.isDone || this.#wanted === null || question === undefined) return;
    if ('result' in answer) this.#answers.set(key, answer.result);
    else if (question.method === 'elicitation/create') this.#answers.set(key, NO_ANSWER);
    else return this.#refuse(answer.error);
    if (this.#answers.size === this.#wanted.questions.size) this.#again(this.#wanted);
  }

  // ReplySink: of the server

  onStream(): void {
    this.#sink?.onStream();
  }

  onMessage(bytes: Buffer): boolean {
    return this.#sink?.onMessage(bytes) ?? true;
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    const reply = isError ? bytes : asLegacyReply(bytes);
    if (reply !== null) return this.#end((sink) => sink.onReply(reply, isError, code));
    const wanted = readInputRequired(bytes);
    if (wanted === null) return this.#invalid('answered with something other than a complete result');
    this.#ask(wanted);
  }

  onFail(refusal: Refusal, detail: string, health?: Health): void {
    this.#end((sink) => sink.onFail(refusal, detail, health));
  }

  onCancelled(): void {
    this.#end((sink) => sink.onCancelled());
  }

  #ask(wanted: InputWanted): void {
    const { clock, abilities } = this.#host;
    this.#rounds += 1;
    this.#flight = null;
    this.#wanted = wanted;
    this.#answers.clear();
    if (this.#rounds > MAX_ROUNDS) return this.#invalid('asks without end');
    if (wanted.questions.size > MAX_QUESTIONS) return this.#invalid('asks too much at once');
    const isAble = [...wanted.questions.values()].every(({ method }) => abilities[askedCapability(method) ?? ''] !== undefined);
    if (!isAble) return this.#invalid('asks what its client has not declared');
    if (wanted.questions.size === 0) {
      this.#late = clock.after(AGAIN_MS * this.#rounds, () => this.#again(wanted));
      return;
    }
    this.#late = clock.after(ANSWER_MS, () => this.fail(UPSTREAM_TIMEOUT, 'its client did not answer'));
    this.#sink?.onStream();
    for (const [key, { method, params }] of wanted.questions) {
      const more = params === null ? '' : `,"params":${params}`;
      const id = this.#host.numbered(this, key);
      this.#sink?.onMessage(Buffer.from(`{"jsonrpc":"2.0","id":${id},"method":${JSON.stringify(method)}${more}}`));
    }
  }

  #again({ state }: InputWanted): void {
    this.#late?.cancel();
    this.#wanted = null;
    const message = withAnswers(this.#message, this.#answers, state);
    if (message === null) return this.#invalid('wants back what is no message');
    const flight = this.#host.send(message, this);
    if (isRefusal(flight)) this.#end((sink) => sink.onFail(flight, 'refused'));
    else this.#flight = flight;
  }

  /** Without the answer there is nothing that the server could be told. */
  #refuse({ code, message }: AnswerError): void {
    const reply = Buffer.from(rpcError(this.idToken, code, message, null));
    this.#end((sink) => sink.onReply(reply, true, code));
  }

  #invalid(detail: string): void {
    this.#end((sink) => sink.onFail(UPSTREAM_INVALID, detail, 'alive'));
  }

  #abandon(): void {
    this.#flight?.detach(() => undefined);
    this.#flight = null;
  }

  #end(tell: (sink: ReplySink) => void): void {
    if (this.isDone) return;
    this.isDone = true;
    this.#late?.cancel();
    this.#wanted = null;
    this.#host.over(this);
    if (this.#sink !== null) tell(this.#sink);
  }
}
