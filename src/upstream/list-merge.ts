import type { Access } from '../core/access.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { INVALID_PARAMS, METHOD_NOT_FOUND, UPSTREAM_FAILED, UPSTREAM_INVALID, UPSTREAM_TIMEOUT } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { InFlight, LeftOutReason, ReplySink, Upstream } from '../core/upstream.ts';
import { type ListPage, type ListShape, readListPage } from '../mcp/list-page.ts';
import { listCancellation, listRequest } from '../mcp/list-request.ts';
import { encodeCursor } from '../mcp/merged-cursor.ts';
import { rpcError } from '../mcp/messages.ts';
import { MergedPage } from './merged-page.ts';
import { onBehalf } from './on-behalf.ts';

/** One server of a virtual one. */
export interface Member {
  readonly upstream: Upstream;
  /** Stands before the names of its tools and prompts. */
  readonly prefix: string;
}

/** One request for a merged list. */
export interface MergeJob {
  readonly method: string;
  readonly shape: ListShape;
  /** In order; the first is asked from `cursor` on. */
  readonly members: readonly Member[];
  /** The first member's own cursor; null = from its first page. */
  readonly cursor: string | null;
  /** Pages of the first member that came before. */
  readonly pages: number;
  readonly idToken: string;
  readonly principalKey: string;
  readonly access: Access;
  readonly timeoutMs: number;
  /** Of a request of revision 2026-07-28: its `_meta`, and what the answer says of the gateway; else null. */
  readonly modern: { readonly meta: string; readonly serverInfo: string } | null;
  /** Whether the caller sees it, whatever the caller may. */
  isOffered(member: string, key: string): boolean;
  /** `what`: the first of `count` things of the member, or why all of it is missing. */
  leftOut(member: string, reason: LeftOutReason, what: string, count: number): void;
  /** It is over, however; called once. */
  onOver(): void;
}

/** Of one member: whoever has more of them must not keep those after it out of the list. */
const MAX_PAGES = 1_000;

let serial = 0;

/** Why a member gave no page, and what the client hears if none did. */
interface Lost {
  readonly refusal: Refusal;
  readonly detail: string;
  readonly reason: LeftOutReason;
}

/** Waits for the page of one member. */
class Slot implements ReplySink {
  readonly member: Member;
  page: ListPage | null = null;
  bytes: Buffer | null = null;
  lost: Lost | null = null;
  /** It knows no such lists. */
  isEmpty = false;
  hasBadCursor = false;
  /** Its request while that is under way. */
  flight: InFlight | null = null;
  readonly #shape: ListShape;
  /** What comes after the merge is over costs nothing. */
  readonly #isAwaited: () => boolean;
  readonly #onDone: () => void;

  constructor(member: Member, shape: ListShape, isAwaited: () => boolean, onDone: () => void) {
    this.member = member;
    this.#shape = shape;
    this.#isAwaited = isAwaited;
    this.#onDone = onDone;
  }

  get isDone(): boolean {
    return this.page !== null || this.lost !== null || this.isEmpty || this.hasBadCursor;
  }

  lose(refusal: Refusal, detail: string, reason: LeftOutReason): void {
    if (!this.isDone) this.lost = { refusal, detail, reason };
  }

  onStream(): void {}

  onMessage(): boolean {
    return true;
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    this.flight = null;
    if (this.isDone || !this.#isAwaited()) return;
    if (!isError) this.#read(bytes);
    else if (code === METHOD_NOT_FOUND) this.isEmpty = true;
    else if (code === INVALID_PARAMS) this.hasBadCursor = true;
    else this.lose(UPSTREAM_FAILED, `answered with error ${code}`, 'unavailable');
    this.#onDone();
  }

  onFail(refusal: Refusal, detail: string): void {
    this.flight = null;
    this.lose(refusal, detail, 'unavailable');
    this.#onDone();
  }

  onCancelled(): void {
    this.flight = null;
  }

  #read(bytes: Buffer): void {
    this.page = readListPage(bytes, this.#shape);
    if (this.page === null) this.lose(UPSTREAM_INVALID, 'answered with something that is no list', 'invalid');
    else this.bytes = bytes;
  }
}

/**
 * Asks all members for their lists at once, each with the same deadline, and makes one page of what came: member by member in their order,
 * up to the first that has another page; its cursor is the cursor of the whole. A member that gives nothing is left out, and named in the
 * answer. All of them are asked for each page, since who comes after is only known when the page is there.
 */
export class ListMerge implements InFlight {
  readonly job: MergeJob;
  /** Of its requests, so that each can be taken back by itself. */
  readonly #id: number = (serial = (serial + 1) % 2 ** 31);
  readonly #slots: readonly Slot[];
  #sink: ReplySink | null;
  #late: Timer | null = null;
  #isStarting = true;
  #isOver = false;
  #whenOver: (() => void) | null = null;

  constructor(job: MergeJob, sink: ReplySink) {
    this.job = job;
    this.#sink = sink;
    const isAwaited = (): boolean => !this.#isOver;
    this.#slots = job.members.map((member) => new Slot(member, job.shape, isAwaited, () => this.#onDone()));
  }

  /** Sends the requests. Nothing is told inside. */
  start(clock: Clock): void {
    const { method, cursor, timeoutMs, modern } = this.job;
    const shared = onBehalf(this.job.principalKey, 'lists');
    const options = modern === null ? shared : { ...shared, modern: { params: null } };
    this.#late = clock.after(timeoutMs, () => this.#onLate());
    this.#slots.forEach((slot, index) => {
      const token = index === 0 && cursor !== null ? JSON.stringify(cursor) : '';
      const { upstream } = slot.member;
      const flight = upstream.request(listRequest(method, token, modern?.meta, this.#id), options, slot);
      if (isRefusal(flight)) slot.lose(flight, upstream.detail ?? 'refused', 'unavailable');
      else slot.flight = flight;
    });
    queueMicrotask(() => {
      this.#isStarting = false;
      this.#onDone();
    });
  }

  detach(whenOver: () => void): void {
    this.#sink = null;
    if (this.#isOver) whenOver();
    else this.#whenOver = whenOver;
  }

  resume(): void {}

  /** The client took its request back: so are those to the members. */
  cancel(): void {
    this.#end((sink) => sink.onCancelled());
  }

  #onLate(): void {
    for (const slot of this.#slots) slot.lose(UPSTREAM_TIMEOUT, 'its list came too late', 'late');
    this.#onDone();
  }

  /** Ends when all that precedes the end of the page is there. */
  #onDone(): void {
    if (this.#isStarting || this.#isOver) return;
    const last = this.#slots.findIndex((slot, index) => !slot.isDone || slot.hasBadCursor || this.#cursorBehind(slot, index) !== null);
    const slot = this.#slots[last];
    if (slot === undefined) return this.#finish(this.#slots);
    if (!slot.isDone) return;
    if (slot.hasBadCursor) return this.#onBadCursor(slot, last);
    this.#finish(this.#slots.slice(0, last + 1));
  }

  /** Of the client's own place in the list there is nothing more to say; any other member had no cursor to complain of. */
  #onBadCursor(slot: Slot, index: number): void {
    slot.hasBadCursor = false;
    if (index !== 0 || this.job.cursor === null) {
      slot.lose(UPSTREAM_FAILED, `answered with error ${INVALID_PARAMS}`, 'unavailable');
      return this.#onDone();
    }
    const error = Buffer.from(rpcError(this.job.idToken, INVALID_PARAMS, 'Invalid cursor', null));
    this.#end((sink) => sink.onReply(error, true, INVALID_PARAMS));
  }

  #finish(slots: readonly Slot[]): void {
    const page = new MergedPage(this.job);
    for (const [index, slot] of slots.entries()) {
      const { member, lost } = slot;
      if (lost !== null) page.leaveOut(member, lost.reason, lost.detail);
      else if (slot.page !== null && slot.bytes !== null) page.add(member, slot.bytes, slot.page);
      if (this.#isEndless(slot, index)) this.job.leftOut(member.upstream.name, 'too_large', 'pages', 1);
    }
    const [first] = slots.flatMap(({ lost }) => lost ?? []);
    const hasAnswer = slots.some(({ lost }) => lost === null);
    if (first !== undefined && !hasAnswer) return this.#end((sink) => sink.onFail(first.refusal, first.detail));
    const reply = page.reply(this.#nextCursor(slots));
    this.#end((sink) => sink.onReply(reply, false, 0));
  }

  /** Behind the last slot: its next page, or the first page of whoever comes after when its own cursor is too long. */
  #nextCursor(slots: readonly Slot[]): string | null {
    const index = slots.length - 1;
    const last = slots[index];
    const cursor = last === undefined ? null : this.#cursorBehind(last, index);
    if (last === undefined || cursor === null) return null;
    const encoded = encodeCursor({ member: last.member.upstream.name, cursor, pages: this.#pagesUpTo(index) });
    if (encoded !== null) return encoded;
    this.job.leftOut(last.member.upstream.name, 'too_large', 'cursor', 1);
    const after = this.#slots[slots.length];
    return after === undefined ? null : encodeCursor({ member: after.member.upstream.name, cursor: null, pages: 0 });
  }

  /** Of a member's next page; null when it has none, or none that is asked for. */
  #cursorBehind(slot: Slot, index: number): string | null {
    return this.#isEndless(slot, index) ? null : (slot.page?.nextCursor ?? null);
  }

  /** A next page that is this one again, or one too many. */
  #isEndless({ page }: Slot, index: number): boolean {
    if (page === null || page.nextCursor === null) return false;
    return (index === 0 && page.nextCursor === this.job.cursor) || this.#pagesUpTo(index) >= MAX_PAGES;
  }

  #pagesUpTo(index: number): number {
    return index === 0 ? this.job.pages + 1 : 1;
  }

  /** What nobody waits for any more must hold no places: members work for whoever asks. */
  #withdraw(): void {
    for (const { flight, member } of this.#slots) {
      if (flight === null) continue;
      // In revision 2026-07-28 who leaves has cancelled.
      if (this.job.modern !== null) flight.detach(() => undefined);
      else member.upstream.notify(listCancellation(this.#id), onBehalf(this.job.principalKey, 'lists'));
    }
  }

  #end(tell: (sink: ReplySink) => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#late?.cancel();
    this.#withdraw();
    this.job.onOver();
    const sink = this.#sink;
    this.#sink = null;
    if (sink !== null) tell(sink);
    this.#whenOver?.();
    this.#whenOver = null;
  }
}
