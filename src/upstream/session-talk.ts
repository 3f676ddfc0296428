import type { Envelope } from '../core/envelope.ts';
import type { ListKind } from '../core/upstream.ts';
import { changedList } from '../mcp/list-request.ts';
import { withLogger } from '../mcp/log-message.ts';
import { splice } from '../mcp/splice.ts';
import { scanUpstreamMessage, type UpstreamMessage } from '../mcp/upstream-message.ts';
import type { ClientCall } from './client-call.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';
import type { MemberPart } from './member-part.ts';
import { readMessage, unansweredMessage } from './own-message.ts';
import { type Asked, QuestionBook } from './question-book.ts';
import { CANCELLED, LOG_MESSAGE, PROGRESS } from './rewrite.ts';

const UPDATED = 'notifications/resources/updated';
const NOBODY_ASKED = -32_000;
const LISTS: readonly ListKind[] = ['tools', 'resources', 'prompts'];

export interface SessionTalkOptions {
  /** Under way. */
  readonly calls: ReadonlySet<ClientCall>;
  /** Whether the virtual server shows this resource. */
  isOffered(uri: string): boolean;
  /** Into the standing stream; false: nobody will get it. */
  deliver(bytes: Buffer, isQuestion: boolean): boolean;
}

/**
 * What the members of a virtual server say to one client, and what that client says back. Each member is heard about its own requests, questions and
 * resources only: it can neither take another's question back, nor report progress of another's call, nor be given another's answer.
 */
export class SessionTalk {
  readonly #options: SessionTalkOptions;
  readonly #questions = new QuestionBook<MemberPart>();

  constructor(options: SessionTalkOptions) {
    this.#options = options;
  }

  /** Said within a call of the client: what goes into its stream; null for nothing. */
  heard(part: MemberPart, bytes: Buffer, call: ClientCall): Buffer | null {
    const message = scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH });
    if (message === null || message.kind === 'response') return null;
    if (message.kind === 'request') {
      this.#ask(part, bytes, message, call);
      return null;
    }
    if (message.method !== PROGRESS) return this.#notification(part, bytes, message);
    return isSame(call.token, tokenOf(bytes, message)) ? bytes : null;
  }

  /** Said outside of calls. */
  news(part: MemberPart, bytes: Buffer): void {
    const message = scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH });
    if (message === null || message.kind === 'response') return;
    if (message.kind === 'request') return this.#ask(part, bytes, message, null);
    if (message.method === PROGRESS) return this.#progressOf(part, bytes, message);
    const said = this.#notification(part, bytes, message);
    if (said !== null) this.#options.deliver(said, false);
  }

  /** The client's answer: to who asked, once. What nobody asked is dropped. */
  answer(message: Envelope): void {
    const { bytes, idStart, idEnd } = message;
    const asked = this.#questions.take(JSON.parse(bytes.toString('utf8', idStart, idEnd)));
    const answer = asked === null ? null : readMessage(splice(bytes, [{ start: idStart, end: idEnd, text: asked.idToken }]));
    if (asked !== null && answer !== null) asked.member.respond(answer);
  }

  /** How far the client is with a question: told to who asked it. */
  progress({ bytes }: Envelope): void {
    const message = scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH });
    if (message === null || message.tokenStart < 0) return;
    const { tokenStart: start, tokenEnd: end } = message;
    const asked = this.#questions.find(JSON.parse(bytes.toString('utf8', start, end)));
    if (asked === null || asked.progressToken === null) return;
    const renamed = readMessage(splice(bytes, [{ start, end, text: asked.progressToken }]));
    if (renamed !== null) asked.member.tell(renamed);
  }

  /** What this member has asked it will not hear the answer of. */
  lost(part: MemberPart): void {
    this.#questions.drop(({ member }) => member === part);
  }

  /** The call is answered: what was asked within it is over too. */
  over(call: ClientCall): void {
    this.#questions.drop(({ within }) => within === call);
  }

  /** One of its lists is another, or any may be (null): nobody heard it meanwhile. */
  changed(part: MemberPart, kind: ListKind | null): void {
    for (const list of kind === null ? LISTS : [kind]) {
      if (tellsOf(part, list)) this.#options.deliver(Buffer.from(`{"jsonrpc":"2.0","method":"notifications/${list}/list_changed"}`), false);
    }
  }

  /** A question goes into the stream of the call that caused it, or the standing one; whom nobody hears is told at once. */
  #ask(part: MemberPart, bytes: Buffer, message: UpstreamMessage, call: ClientCall | null): void {
    const idToken = bytes.toString('utf8', message.idStart, message.idEnd);
    const asked = this.#questions.ask(part, bytes, call, (older) => refuse(older));
    if (asked === null) return refuse({ member: part, idToken });
    if (call !== null) call.hasAsked = true;
    if (call?.reply.isReachable === true && !call.isDone) return void call.onMessage(asked.bytes);
    if (this.#options.deliver(asked.bytes, true)) return;
    this.#questions.take(asked.id);
    refuse({ member: part, idToken });
  }

  #notification(part: MemberPart, bytes: Buffer, { method }: UpstreamMessage): Buffer | null {
    if (method === LOG_MESSAGE) return withLogger(bytes, part.member.prefix, part.name);
    if (method === CANCELLED) return this.#withdrawn(part, bytes);
    const changed = changedList(method);
    if (changed !== null) return tellsOf(part, changed) ? bytes : null;
    return method !== UPDATED || this.#isWanted(part, readMessage(bytes)?.uri ?? null) ? bytes : null;
  }

  /** Members may speak of a part of what was subscribed to (2025-11-25, Resources, Subscriptions). */
  #isWanted({ uris }: MemberPart, uri: string | null): boolean {
    return uri !== null && uris.size > 0 && this.#options.isOffered(uri);
  }

  /** The member takes a question of its own back. */
  #withdrawn(part: MemberPart, bytes: Buffer): Buffer | null {
    const { requestIdStart: start = -1, requestIdEnd: end = -1 } = readMessage(bytes) ?? {};
    const id = start < 0 ? null : this.#questions.withdrawn(part, bytes.toString('utf8', start, end));
    return id === null ? null : splice(bytes, [{ start, end, text: JSON.stringify(id) }]);
  }

  /** Of a request that is under way at this very member. */
  #progressOf(part: MemberPart, bytes: Buffer, message: UpstreamMessage): void {
    const token = tokenOf(bytes, message);
    for (const call of this.#options.calls) {
      if (isSame(call.token, token) && call.isAt(part)) return void call.onMessage(bytes);
    }
  }
}

function tokenOf(bytes: Buffer, { tokenStart, tokenEnd }: UpstreamMessage): string {
  return tokenStart < 0 ? '' : bytes.toString('utf8', tokenStart, tokenEnd);
}

/** Raw JSON both: a member may write a token in another way than the client did. */
function isSame(token: string | null, said: string): boolean {
  return token !== null && said !== '' && (token === said || JSON.parse(token) === JSON.parse(said));
}

/** Only a member that said so is believed to tell of changes, as the client was told. */
function tellsOf(part: MemberPart, kind: ListKind): boolean {
  if (!part.isHeard || part.info === null) return false;
  const capabilities = JSON.parse(part.info.capabilitiesJson) as Readonly<Record<string, { readonly listChanged?: unknown } | undefined>>;
  return capabilities[kind]?.listChanged === true;
}

/** Nobody is there to be asked; a server must not wait for that to change. */
function refuse({ member, idToken }: Pick<Asked<MemberPart>, 'member' | 'idToken'>): void {
  member.respond(unansweredMessage(idToken, NOBODY_ASKED, 'The client cannot be reached'));
}
