import type { Clock } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { INVALID_PARAMS, METHOD_NOT_FOUND, UPSTREAM_BUSY, UPSTREAM_INVALID } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { Health, InFlight, ListFigures, ListKind, ReplySink, RequestOptions, Upstream } from '../core/upstream.ts';
import { LIST_SHAPES, readListPage } from '../mcp/list-page.ts';
import { listCancellation, listKindOf, listRequest, readListParams, sharedMeta } from '../mcp/list-request.ts';
import { looksLikeUnknownTool } from '../mcp/tool-result.ts';
import { UpstreamLayer } from './layer.ts';
import { type FetchOwner, ListFetch, ListWaiter } from './list-fetch.ts';
import { type ListPage, ListPages } from './list-pages.ts';
import { readListReply, replyFor } from './list-reply.ts';
import { onBehalf } from './on-behalf.ts';
import { CANCELLED } from './rewrite.ts';

/** Longer ones come from nobody who was handed them: such requests pass by the cache. */
const MAX_KEY_CHARS = 4096;
/** Pages asked for at once, per upstream; more pass by the cache. */
const MAX_FETCHES = 256;
/** Of them, those that one caller began: the cursors are its own to make up. */
const MAX_FETCHES_PER_CALLER = 8;
/** A caller can provoke errors: they make only lists old that have been kept for this long, and nothing else. */
const DOUBT_MS = 5_000;
/** Who waits longer for a page gets the old one, if there is one. */
const PATIENCE_MS = 2_000;

const LIST_KINDS: readonly ListKind[] = ['tools', 'resources', 'prompts'];

/** A page as it is asked for. */
interface Wanted {
  /** All that its content rests on. */
  readonly key: string;
  readonly kind: ListKind;
  readonly method: string;
  /** Raw; empty for the first page. */
  readonly cursor: string;
  /** `_meta` of the request in revision 2026-07-28; empty for the older ones. */
  readonly meta: string;
}

/**
 * An upstream whose lists are kept: as the upstream sent them, for all callers, because the connection is the gateway's and not
 * theirs; who may see what is decided on the way to each of them. A page that is fresh needs neither a place nor a connection.
 */
export class CachedUpstream extends UpstreamLayer implements FetchOwner {
  readonly #clock: Clock;
  readonly #pages: ListPages;
  /** Those that more may wait for. */
  readonly #fetches = new Map<string, ListFetch>();
  readonly #live = new Set<ListFetch>();
  readonly #counts = { hits: 0, misses: 0, joined: 0, stale: 0, bypassed: 0, invalidations: 0 };
  readonly #epochs: Record<ListKind, number> = { tools: 0, resources: 0, prompts: 0 };

  constructor(inner: Upstream, ttlMs: number, clock: Clock) {
    super(inner);
    this.#clock = clock;
    this.#pages = new ListPages(ttlMs);
  }

  figures(): ListFigures {
    return { server: this.name, ...this.#counts, pages: this.#pages.size, bytes: this.#pages.bytes };
  }

  /** Lists of this kind are others now; null = whatever it lists. */
  invalidate(kind: ListKind | null): void {
    for (const each of kind === null ? LIST_KINDS : [kind]) this.#epochs[each] += 1;
    this.#counts.invalidations += 1;
    this.#pages.expire(kind, this.#clock.nowMs());
    // What is under way may be old when it comes: who asks from now on asks anew.
    for (const fetch of this.#fetches.values()) if (kind === null || fetch.kind === kind) this.#fetches.delete(fetch.key);
  }

  override request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    // In a session of its own a client may see other lists than all the others do.
    if ((options.session ?? null) !== null) return this.inner.request(message, options, sink);
    const kind = listKindOf(message.method);
    if (kind === null) return this.inner.request(message, options, message.method === 'tools/call' ? this.#watched(sink) : sink);
    const wanted = wantedOf(kind, message, options);
    if (wanted !== null && this.#isKept(wanted.key, options.principalKey)) return this.#list(wanted, message, options, sink);
    this.#counts.bypassed += 1;
    return this.inner.request(message, options, sink);
  }

  override notify(message: Envelope, options: RequestOptions, taken?: () => void): Refusal | null {
    const isShared = (options.session ?? null) === null;
    const waiter = isShared && message.method === CANCELLED ? this.#namedBy(message, options.principalKey) : null;
    if (waiter === null) return this.inner.notify(message, options, taken);
    waiter.end((sink) => sink.onCancelled());
    for (const fetch of this.#live) if (fetch.waiters.includes(waiter) && fetch.isAbandoned) this.#takeBack(fetch);
    return null;
  }

  onFetched(fetch: ListFetch, bytes: Buffer, isError: boolean, code: number): void {
    this.#forget(fetch);
    const nowMs = this.#clock.nowMs();
    const reply = readListReply(bytes, fetch.isModern);
    if (reply === null) return this.onFetchFailed(fetch, UPSTREAM_INVALID, 'answered a list with something else');
    if (!isError && isList(fetch.method, bytes)) this.#pages.put(fetch.key, fetch.kind, reply, nowMs, !this.#isCurrent(fetch));
    // What the server says of this very request is its answer; other errors, and what is no list, are a failure to give one.
    else if (isError && (code === METHOD_NOT_FOUND || code === INVALID_PARAMS)) this.#pages.remove(fetch.key);
    else if (this.#serveOld(fetch)) return;
    const leftMs = this.#isCurrent(fetch) ? reply.ttlMs : 0;
    for (const waiter of fetch.waiters) waiter.end((sink) => sink.onReply(replyFor(reply, waiter.idToken, leftMs), isError, code));
  }

  onFetchFailed(fetch: ListFetch, refusal: Refusal, detail: string): void {
    this.#forget(fetch);
    if (this.#serveOld(fetch)) return;
    for (const waiter of fetch.waiters) waiter.end((sink) => sink.onFail(refusal, detail));
  }

  /** Nothing was said since it began that makes its page old. */
  #isCurrent({ kind, epoch }: ListFetch): boolean {
    return epoch === this.#epochs[kind];
  }

  /** What is not is the caller's own request, and waits in the caller's own place. */
  #isKept(key: string, principalKey: string): boolean {
    if (key.length > MAX_KEY_CHARS) return false;
    return (
      this.#fetches.has(key) ||
      this.#pages.has(key) ||
      (this.#live.size < MAX_FETCHES && this.#begun(principalKey) < MAX_FETCHES_PER_CALLER)
    );
  }

  /** Requests for pages that this caller began. */
  #begun(principalKey: string): number {
    let count = 0;
    for (const fetch of this.#live) if (fetch.principalKey === principalKey) count += 1;
    return count;
  }

  #list(wanted: Wanted, message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const nowMs = this.#clock.nowMs();
    const page = this.#pages.get(wanted.key, nowMs);
    const waiter = new ListWaiter(options.principalKey, message.bytes.toString('utf8', message.idStart, message.idEnd), sink);
    const isLate = this.#fetches.get(wanted.key)?.isLate === true;
    if (page !== null && (isLate || nowMs < Math.max(page.freshUntilMs, page.heldUntilMs))) {
      this.#counts[nowMs < page.freshUntilMs ? 'hits' : 'stale'] += 1;
      return this.#deliverLater(waiter, page);
    }
    const refusal = this.#join(wanted, options, waiter);
    if (refusal === null) return waiter;
    if (page === null) return refusal;
    this.#counts.stale += 1;
    return this.#deliverLater(waiter, page);
  }

  /** Waits for the request that is under way, or begins one. */
  #join({ key, kind, method, cursor, meta }: Wanted, { restPath, principalKey }: RequestOptions, waiter: ListWaiter): Refusal | null {
    const known = this.#fetches.get(key);
    if (known !== undefined) {
      if (known.isFull) return UPSTREAM_BUSY;
      this.#counts.joined += 1;
      known.waiters.push(waiter);
      return null;
    }
    const fetch = new ListFetch({ key, kind, epoch: this.#epochs[kind], isModern: meta !== '', principalKey, restPath }, this);
    const shared = fetcherOf(fetch);
    const options = meta === '' ? shared : { ...shared, modern: { params: null } };
    const flight = this.inner.request(listRequest(method, cursor, meta, fetch.id), options, fetch);
    if (isRefusal(flight)) return flight;
    fetch.flight = flight;
    fetch.patience = this.#clock.after(PATIENCE_MS, () => this.#onLate(fetch));
    this.#counts.misses += 1;
    fetch.waiters.push(waiter);
    this.#fetches.set(key, fetch);
    this.#live.add(fetch);
    return null;
  }

  /** Or whoever asks and takes it back again and again would fill the upstream's places. */
  #takeBack(fetch: ListFetch): void {
    this.#forget(fetch);
    if (fetch.isModern) fetch.flight?.detach(() => undefined);
    else this.inner.notify(listCancellation(fetch.id), fetcherOf(fetch));
  }

  /** The server is slow: nobody waits on who could have the old page. */
  #onLate(fetch: ListFetch): void {
    fetch.isLate = true;
    const page = this.#pages.get(fetch.key, this.#clock.nowMs());
    if (page === null) return;
    for (const waiter of fetch.waiters.splice(0)) {
      if (!waiter.isOver) this.#counts.stale += 1;
      this.#deliver(waiter, page);
    }
  }

  /** For want of a new page. False: there is none at all. */
  #serveOld(fetch: ListFetch): boolean {
    const nowMs = this.#clock.nowMs();
    const page = this.#pages.get(fetch.key, nowMs);
    if (page === null) return false;
    this.#pages.hold(page, nowMs);
    this.#counts.stale += fetch.waiters.length;
    for (const waiter of fetch.waiters) this.#deliver(waiter, page);
    return true;
  }

  #deliver(waiter: ListWaiter, page: ListPage): void {
    const leftMs = Math.min(page.freshUntilMs, page.bornMs + page.ttlMs) - this.#clock.nowMs();
    waiter.end((sink) => sink.onReply(replyFor(page, waiter.idToken, leftMs), false, 0));
  }

  /** Nothing is told inside `request`. */
  #deliverLater(waiter: ListWaiter, page: ListPage): ListWaiter {
    queueMicrotask(() => this.#deliver(waiter, page));
    return waiter;
  }

  #forget(fetch: ListFetch): void {
    fetch.patience?.cancel();
    this.#live.delete(fetch);
    if (this.#fetches.get(fetch.key) === fetch) this.#fetches.delete(fetch.key);
  }

  /** A server that does not know a tool may have another list now. */
  #watched(sink: ReplySink): ReplySink {
    if (this.#pages.size === 0) return sink;
    return new CallWatch(sink, () => this.#pages.doubt('tools', this.#clock.nowMs() - DOUBT_MS));
  }

  /** The one request for a list that a cancellation names. */
  #namedBy(message: Envelope, principalKey: string): ListWaiter | null {
    if (message.requestIdStart < 0) return null;
    const idToken = message.bytes.toString('utf8', message.requestIdStart, message.requestIdEnd);
    const waiting = [...this.#live].flatMap((fetch) => fetch.waiters);
    const named = waiting.filter((waiter) => waiter.sink !== null && waiter.idToken === idToken && waiter.principalKey === principalKey);
    return named.length === 1 ? (named[0] ?? null) : null;
  }
}

function fetcherOf({ restPath, principalKey }: ListFetch): RequestOptions {
  return onBehalf(principalKey, 'kept', restPath);
}

function isList(method: string, reply: Buffer): boolean {
  const shape = LIST_SHAPES.get(method);
  return shape !== undefined && readListPage(reply, shape) !== null;
}

/** Null for a request whose answer may rest on something that is not part of the key. */
function wantedOf(kind: ListKind, message: Envelope, { restPath }: RequestOptions): Wanted | null {
  const { method } = message;
  const { cursor, isPlain } = readListParams(message);
  if (cursor === null || !isPlain) return null;
  const meta = sharedMeta(message);
  return { kind, method, cursor, meta, key: [method, cursor, restPath, meta].join('\n') };
}

/** A tool call of which the end may tell that the list of tools is old. */
class CallWatch implements ReplySink {
  readonly #sink: ReplySink;
  readonly #onDoubt: () => void;

  constructor(sink: ReplySink, onDoubt: () => void) {
    this.#sink = sink;
    this.#onDoubt = onDoubt;
  }

  onStream(): void {
    this.#sink.onStream();
  }

  onMessage(bytes: Buffer): boolean {
    return this.#sink.onMessage(bytes);
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    const isUnknown = isError ? code === INVALID_PARAMS || code === METHOD_NOT_FOUND : looksLikeUnknownTool(bytes);
    if (isUnknown) this.#onDoubt();
    this.#sink.onReply(bytes, isError, code);
  }

  onFail(refusal: Refusal, detail: string, health?: Health): void {
    this.#sink.onFail(refusal, detail, health);
  }

  onCancelled(): void {
    this.#sink.onCancelled();
  }
}
