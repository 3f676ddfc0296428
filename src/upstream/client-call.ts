import type { Envelope } from '../core/envelope.ts';
import type { Refusal } from '../core/refusal.ts';
import type { Health, InFlight, ReplySink } from '../core/upstream.ts';
import { KeptReply, type KeptRequest } from './kept-reply.ts';
import type { KeptStream } from './kept-stream.ts';
import type { MemberPart } from './member-part.ts';
import type { PartEars } from './part-call.ts';

/** What a request needs of its session. */
export interface ClientCallHost {
  heard(part: MemberPart, bytes: Buffer, call: ClientCall): Buffer | null;
  over(call: ClientCall): void;
}

/** One request of a client in its session at a virtual server, whichever members work on it. */
export class ClientCall implements ReplySink, KeptRequest, PartEars {
  /** Raw JSON. */
  readonly idToken: string;
  /** Its progress token; raw JSON, null without one. */
  readonly token: string | null;
  readonly reply: KeptReply;
  isDone = false;
  hasAsked = false;
  readonly #host: ClientCallHost;
  /** Members that it was sent to. */
  readonly #at = new Set<MemberPart>();
  #target: InFlight | null = null;
  #onCancel: (message: Envelope) => void = () => undefined;

  constructor(host: ClientCallHost, { bytes, idStart, idEnd, tokenStart, tokenEnd }: Envelope, stream: KeptStream, sink: ReplySink) {
    this.#host = host;
    this.idToken = bytes.toString('utf8', idStart, idEnd);
    this.token = tokenStart < 0 ? null : bytes.toString('utf8', tokenStart, tokenEnd);
    this.reply = new KeptReply(stream, sink);
  }

  /** What works on it, and how that is told that the client takes it back. */
  attach(target: InFlight, onCancel: (message: Envelope) => void): InFlight {
    this.#target = target;
    this.#onCancel = onCancel;
    return this.reply.attach(this);
  }

  cancel(message: Envelope): void {
    this.#onCancel(message);
  }

  sentTo(part: MemberPart): void {
    this.#at.add(part);
  }

  isAt(part: MemberPart): boolean {
    return this.#at.has(part);
  }

  heard(part: MemberPart, bytes: Buffer): Buffer | null {
    return this.#host.heard(part, bytes, this);
  }

  /** The session is over. */
  fail(refusal: Refusal, detail: string): void {
    this.onFail(refusal, detail);
  }

  resume(): void {
    this.#target?.resume();
  }

  onStream(): void {
    if (!this.isDone) this.reply.onStream();
  }

  onMessage(bytes: Buffer): boolean {
    return this.isDone || this.reply.onMessage(bytes);
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    this.#end(() => this.reply.onReply(bytes, isError, code));
  }

  onFail(refusal: Refusal, detail: string, health?: Health): void {
    this.#end(() => this.reply.onFail(refusal, detail, health));
  }

  onCancelled(): void {
    this.#end(() => this.reply.onCancelled());
  }

  #end(tell: () => void): void {
    if (this.isDone) return;
    this.isDone = true;
    this.#host.over(this);
    tell();
  }
}
