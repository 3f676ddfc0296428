import type { Clock } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { BAD_PARAMS, METHOD_UNKNOWN, SESSION_UNKNOWN, UPSTREAM_BUSY, UPSTREAM_DOWN } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import { MAX_NEWS_URI_CHARS, type NewsInterest } from '../core/server-news.ts';
import type { InFlight, ListKind, ReplySink, RequestOptions, UpstreamInfo } from '../core/upstream.ts';
import type { ClientHello, Listening, SessionAgreement, SessionPlace, StreamSink, UpstreamSession } from '../core/upstream-session.ts';
import { asModernRequest } from '../mcp/era-requests.ts';
import { rpcResult } from '../mcp/messages.ts';
import { helloMeta } from '../mcp/modern-request.ts';
import { LATEST_LEGACY_REVISION, MODERN_REVISION, RESUMABLE_REVISIONS } from '../mcp/revisions.ts';
import { AnsweringCall, type AnsweringHost, type AnswerError } from './answering-call.ts';
import type { EventStore } from './event-store.ts';
import { KeptReply } from './kept-reply.ts';
import { KeptStreams } from './kept-streams.ts';
import { LocalReply } from './local-reply.ts';
import type { ModernSide } from './modern-side.ts';
import { CANCELLED } from './rewrite.ts';
import { SessionSubscription, type SubscriptionHost } from './session-subscription.ts';

/** Requests of one session at once, and resources that its client may subscribe to. */
const MAX_CALLS = 1000;
const MAX_URIS = 256;

const LISTS: readonly ListKind[] = ['tools', 'resources', 'prompts'];
const LEVELS: ReadonlySet<unknown> = new Set(['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency']);

/** What a session needs of the book that it stands in. */
export interface ModernSessionHost {
  readonly clock: Clock;
  readonly modern: ModernSide;
  readonly kept: EventStore | null;
  /** A place, and room, for one more; null when there is none. From now on it is found by that place, until `ended`. */
  admit(session: ModernSession): Buffer | null;
  ended(session: ModernSession): void;
}

/**
 * A session of a client of an older revision with a server of 2026-07-28, which knows no sessions: the gateway keeps it. Every request says
 * of the client what `initialize` said; what the server wants to know first the client is asked (`AnsweringCall`); what it subscribes to, the gateway
 * subscribes to. Lives in this worker.
 */
export class ModernSession implements UpstreamSession, AnsweringHost, SubscriptionHost {
  agreement: SessionAgreement | null = null;
  place: SessionPlace | null = null;
  /** When its client was last heard. */
  usedMs: number;
  readonly clock: Clock;
  readonly abilities: Readonly<Record<string, unknown>>;
  readonly #host: ModernSessionHost;
  readonly #hello: ClientHello;
  readonly #calls = new Set<AnsweringCall>();
  /** Questions that the client was asked, by their ids. */
  readonly #asked = new Map<unknown, { readonly call: AnsweringCall; readonly key: string }>();
  readonly #uris = new Set<string>();
  readonly #news: SessionSubscription;
  #streams: KeptStreams = new KeptStreams({ memory: null, isPrimed: false });
  #options: RequestOptions = { restPath: '', principalKey: '' };
  #logLevel: string | null = null;
  #numbers = 0;
  #isOver = false;

  constructor(host: ModernSessionHost, hello: ClientHello) {
    this.#host = host;
    this.#hello = hello;
    this.clock = host.clock;
    this.usedMs = host.clock.nowMs();
    this.abilities = JSON.parse(hello.capabilities) as Readonly<Record<string, unknown>>;
    this.#news = new SessionSubscription(this);
  }

  /** Nothing is under way, and nobody listens. */
  get isIdle(): boolean {
    return this.#calls.size === 0 && !this.#streams.isRead;
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    if (this.#isOver) return SESSION_UNKNOWN;
    this.#touch();
    if (this.place === null) return this.#begin(message, options, sink);
    switch (message.method) {
      case 'logging/setLevel':
        return this.#setLevel(message, sink);
      case 'resources/subscribe':
      case 'resources/unsubscribe':
        return this.#subscribe(message, sink);
      default:
        return this.#call(message, sink);
    }
  }

  notify(message: Envelope, _options: RequestOptions, taken?: () => void): Refusal | null {
    if (this.#isOver) return SESSION_UNKNOWN;
    this.#touch();
    taken?.();
    if (message.method === CANCELLED) this.#cancel(message);
    // Of its handshake and its roots nobody hears there; what else there is may mean something to this server.
    else if (!message.method.startsWith('notifications/initialized') && message.method !== 'notifications/roots/list_changed')
      return this.#host.modern.notify(message, { ...this.#options, modern: { params: null } });
    return null;
  }

  respond(message: Envelope): Refusal | null {
    if (this.#isOver) return SESSION_UNKNOWN;
    this.#touch();
    const { id, result, error } = JSON.parse(message.bytes.toString('utf8')) as { readonly id: unknown; result?: unknown; error?: unknown };
    const asked = this.#asked.get(id);
    if (asked === undefined) return null;
    this.#asked.delete(id);
    if (typeof result === 'object' && result !== null) asked.call.onAnswer(asked.key, { result: JSON.stringify(result) });
    else asked.call.onAnswer(asked.key, { error: errorOf(error) });
    return null;
  }

  listen(lastEventId: string, _options: RequestOptions, sink: StreamSink): Listening | Refusal {
    if (this.#isOver) return SESSION_UNKNOWN;
    this.#touch();
    const listening = this.#streams.listen(lastEventId, sink);
    if (isRefusal(listening)) return listening;
    this.#news.refresh();
    return {
      leave: () => {
        listening.leave();
        this.#news.refresh();
      },
      resume: () => listening.resume(),
    };
  }

  /** The notification itself comes here, from whatever worker. */
  cancelled(): void {}

  close(closed?: () => void): void {
    this.end(SESSION_UNKNOWN, 'its client ended the session');
    closed?.();
  }

  end(refusal: Refusal, reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#news.close();
    for (const call of this.#calls) call.fail(refusal, reason);
    this.#streams.end(reason);
    this.#host.ended(this);
  }

  // AnsweringHost

  send(message: Envelope, sink: ReplySink): InFlight | Refusal {
    return this.#host.modern.request(message, { ...this.#options, modern: { params: 'from_body' } }, sink);
  }

  numbered(call: AnsweringCall, key: string): string {
    this.#numbers += 1;
    const id = `ask-${this.#numbers}`;
    this.#asked.set(id, { call, key });
    return `"${id}"`;
  }

  over(call: AnsweringCall): void {
    this.#calls.delete(call);
    for (const [id, asked] of this.#asked) if (asked.call === call) this.#asked.delete(id);
  }

  // SubscriptionHost

  wanted(): NewsInterest {
    if (this.#isOver || !this.#streams.isHeard) return { lists: [], uris: [] };
    return { lists: LISTS.filter((list) => this.#offers(list, 'listChanged')), uris: [...this.#uris] };
  }

  meta(): string {
    return helloMeta(this.#hello, null);
  }

  deliver(bytes: Buffer): void {
    this.#streams.deliver(bytes, false);
  }

  #begin(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const known = this.#host.modern.info;
    if (message.method !== 'initialize') return METHOD_UNKNOWN;
    if (known === null) return UPSTREAM_DOWN;
    this.#options = { restPath: options.restPath, principalKey: options.principalKey };
    const bytes = this.#host.admit(this);
    if (bytes === null) return UPSTREAM_BUSY;
    const { revision } = this.#hello;
    const info: UpstreamInfo = { ...known.legacy, protocolVersion: revision };
    this.place = { kind: 'owned', revision: MODERN_REVISION, bytes };
    this.agreement = { info, place: this.place };
    const memory = RESUMABLE_REVISIONS.has(revision) ? (this.#host.kept?.memoryFor(options.principalKey) ?? null) : null;
    this.#streams = new KeptStreams({ memory, isPrimed: revision === LATEST_LEGACY_REVISION });
    return new LocalReply(sink, rpcResult(idOf(message), '{}'));
  }

  #call(message: Envelope, sink: ReplySink): InFlight | Refusal {
    const modern = asModernRequest(message, helloMeta(this.#hello, this.#logLevel));
    if (modern === null) return BAD_PARAMS;
    if (this.#calls.size >= MAX_CALLS) return UPSTREAM_BUSY;
    const stream = this.#streams.beginReply();
    const reply = new KeptReply(stream, sink);
    const call = new AnsweringCall(this, modern);
    const refusal = call.begin(reply);
    if (refusal !== null) {
      stream.forget();
      return refusal;
    }
    this.#calls.add(call);
    return reply.attach(call);
  }

  /** From now on every request asks for them (2026-07-28: per request). */
  #setLevel(message: Envelope, sink: ReplySink): InFlight | Refusal {
    const { level } = paramsOf(message);
    if (!this.#declares('logging')) return METHOD_UNKNOWN;
    if (!LEVELS.has(level)) return BAD_PARAMS;
    this.#logLevel = level as string;
    return new LocalReply(sink, rpcResult(idOf(message), '{}'));
  }

  #subscribe(message: Envelope, sink: ReplySink): InFlight | Refusal {
    const { uri } = message;
    if (!this.#offers('resources', 'subscribe')) return METHOD_UNKNOWN;
    if (uri === null || uri.length > MAX_NEWS_URI_CHARS) return BAD_PARAMS;
    if (message.method === 'resources/unsubscribe') this.#uris.delete(uri);
    else if (this.#uris.size >= MAX_URIS && !this.#uris.has(uri)) return UPSTREAM_BUSY;
    else this.#uris.add(uri);
    this.#news.refresh();
    return new LocalReply(sink, rpcResult(idOf(message), '{}'));
  }

  #cancel({ bytes, requestIdStart, requestIdEnd }: Envelope): void {
    const idToken = requestIdStart < 0 ? '' : bytes.toString('utf8', requestIdStart, requestIdEnd);
    const named = [...this.#calls].filter((call) => call.idToken === idToken);
    // With several of that id nobody can tell which is meant.
    if (named.length === 1) named[0]?.cancel();
  }

  #declares(capability: string): boolean {
    return this.#host.modern.info?.legacy.capabilities.has(capability) ?? false;
  }

  #offers(capability: string, option: string): boolean {
    const { capabilitiesJson = '{}' } = this.#host.modern.info?.legacy ?? {};
    const capabilities = JSON.parse(capabilitiesJson) as Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;
    return capabilities[capability]?.[option] === true;
  }

  #touch(): void {
    this.usedMs = this.clock.nowMs();
  }
}

function idOf({ bytes, idStart, idEnd }: Envelope): string {
  return bytes.toString('utf8', idStart, idEnd);
}

function paramsOf({ bytes, paramsStart, paramsEnd }: Envelope): Readonly<Record<string, unknown>> {
  return paramsStart < 0 ? {} : (JSON.parse(bytes.toString('utf8', paramsStart, paramsEnd)) as Readonly<Record<string, unknown>>);
}

function errorOf(error: unknown): AnswerError {
  const { code, message } = (error ?? {}) as { readonly code?: unknown; readonly message?: unknown };
  return { code: Number.isSafeInteger(code) ? Number(code) : -32_603, message: typeof message === 'string' ? message : 'Internal error' };
}
