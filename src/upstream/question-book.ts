import { randomBytes } from 'node:crypto';
import { splice } from '../mcp/splice.ts';
import { readMessage } from './own-message.ts';

/** Questions of one member that wait for the client at once. */
const MAX_PER_MEMBER = 64;
const NAME_BYTES = 9;

/** Who asked, and what it calls its question; raw JSON. */
export interface Asked<Member> {
  readonly member: Member;
  readonly idToken: string;
  /** Within which request of the client; null outside of any. */
  readonly within: object | null;
  /** Its own progress token for it; null without one. */
  readonly progressToken: string | null;
}

/**
 * What the members of a virtual server ask the client of one session. The client knows a question by an id of the gateway's own, with a random part that is
 * this session's: so questions of two members never meet, nor do those of two sessions, and an answer goes to who asked, once.
 */
export class QuestionBook<Member> {
  readonly #name = randomBytes(NAME_BYTES).toString('base64url');
  /** By id, oldest first. */
  readonly #asked = new Map<string, Asked<Member>>();
  #count = 0;

  /** The question as the client gets it; null for one that cannot be passed on. Its member may be told of an older one that it gives way. */
  ask(
    member: Member,
    bytes: Buffer,
    within: object | null,
    displaced: (older: Asked<Member>) => void,
  ): { readonly bytes: Buffer; readonly id: string } | null {
    const message = readMessage(bytes);
    if (message === null) return null;
    const { idStart, idEnd, tokenStart, tokenEnd } = message;
    const idToken = bytes.toString('utf8', idStart, idEnd);
    const progressToken = tokenStart < 0 ? null : bytes.toString('utf8', tokenStart, tokenEnd);
    this.#makeRoom(member, displaced);
    this.#count += 1;
    const id = `${this.#name}.${this.#count}`;
    this.#asked.set(id, { member, idToken, within, progressToken });
    const text = JSON.stringify(id);
    const edits = [{ start: idStart, end: idEnd, text }];
    if (tokenStart >= 0) edits.push({ start: tokenStart, end: tokenEnd, text });
    return {
      id,
      bytes: splice(
        bytes,
        edits.sort((one, other) => one.start - other.start),
      ),
    };
  }

  /** The question that the client answers (decoded id): nobody can answer it again. */
  take(id: unknown): Asked<Member> | null {
    const asked = this.find(id);
    if (asked !== null) this.#asked.delete(id as string);
    return asked;
  }

  find(id: unknown): Asked<Member> | null {
    return typeof id === 'string' ? (this.#asked.get(id) ?? null) : null;
  }

  /** What the client calls the question that this member takes back; it is over then. */
  withdrawn(member: Member, idToken: string): string | null {
    for (const [id, asked] of this.#asked) {
      if (asked.member !== member || asked.idToken !== idToken) continue;
      this.#asked.delete(id);
      return id;
    }
    return null;
  }

  /** Nobody waits for answers to these any more. */
  drop(isOver: (asked: Asked<Member>) => boolean): void {
    for (const [id, asked] of this.#asked) if (isOver(asked)) this.#asked.delete(id);
  }

  #makeRoom(member: Member, displaced: (older: Asked<Member>) => void): void {
    const own = [...this.#asked].filter(([, asked]) => asked.member === member);
    const [oldest] = own;
    if (oldest === undefined || own.length < MAX_PER_MEMBER) return;
    this.#asked.delete(oldest[0]);
    displaced(oldest[1]);
  }
}
