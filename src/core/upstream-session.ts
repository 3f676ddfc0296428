import type { Envelope } from './envelope.ts';
import type { Refusal } from './refusal.ts';
import type { InFlight, ReplySink, RequestOptions, UpstreamInfo } from './upstream.ts';

/** What a client says of itself in `initialize` (2025-11-25, Lifecycle). JSON texts, checked and bounded; they go upstream as they are. */
export interface ClientHello {
  /** The revision to ask for: the client's own when it has an `initialize` and is known here, else the latest that has. */
  readonly revision: string;
  /** Its capabilities, reduced to what the gateway relays: an upstream is never promised more. */
  readonly capabilities: string;
  readonly clientInfo: string;
}

/**
 * Where the upstream's half of a session is, enough to go on with it elsewhere. It travels sealed in the client's session
 * id, so it survives this worker when `kind` is `http`.
 *
 * - `http`: any worker of any host reaches it. `bytes`: the upstream's own session id.
 * - `owned`: it lives in one worker. `bytes` are the transport's: who owns it, and under which number.
 */
export interface SessionPlace {
  readonly kind: 'http' | 'owned';
  /** What was agreed with the upstream; every request of the session names it there, whatever the client sends. */
  readonly revision: string;
  /** At most 1,024. */
  readonly bytes: Buffer;
}

/** What `initialize` agreed on. */
export interface SessionAgreement {
  readonly info: UpstreamInfo;
  /** Null: the upstream keeps no sessions. The client gets no id then, and its requests go the shared way. */
  readonly place: SessionPlace | null;
}

/** Receives what an upstream says on a standing stream. Nothing is called inside `listen`, and nothing after `onEnd` or `leave`. */
export interface StreamSink {
  /** The stream stands; exactly once, before anything else but `onEnd`. */
  onOpen(): void;
  /**
   * A JSON-RPC message, safe to send as it is: a notification, a request, or on a resumed stream a response. Owned by the
   * receiver. False: the client reads slowly, pause if you can; `resume` follows.
   */
  onMessage(bytes: Buffer, isResponse: boolean, mark?: StreamMark): boolean;
  /** The response that was just given is the one to this request (raw JSON id), whose own stream is over. */
  onAnswered?(idToken: string): void;
  /** A position without a message (2025-11-25, Transports: the priming event). */
  onMark(mark: StreamMark): void;
  /**
   * It is over. Null: the upstream ended it in order. `METHOD_NOT_ALLOWED`: it offers none. `STREAM_TAKEN`: the session has one
   * already. `SESSION_UNKNOWN`: it forgot the session.
   */
  onEnd(refusal: Refusal | null, detail: string): void;
}

/** Position in a stream, as the upstream names it: never shown to a client unsealed. */
export interface StreamMark {
  /** The event's id; empty when it has none of its own. */
  readonly eventId: string;
  /** `retry` in milliseconds when the upstream said it with this event, else −1. */
  readonly retryMs: number;
}

/** A standing stream. */
export interface Listening {
  /** The client is gone: nothing is delivered any more, and what holds the stream upstream is given back. Idempotent. */
  leave(): void;
  /** The client reads again after `onMessage` returned false. */
  resume(): void;
}

/**
 * One client's own session with an upstream, a pipe between the two: ids of requests, progress tokens and ids of the server's
 * requests are theirs and pass unchanged, because nobody else speaks in it. Made by `Upstream.newSession` (nothing is sent
 * then) or `resumeSession`. The pipeline holds it, and asks who may use it before every call; the session knows no principals.
 *
 * `request` and `notify` are reached through `Upstream.request` and `Upstream.notify` with `options.session`, so that places
 * and circuits count them; `respond`, `listen` and `close` are called on the session itself.
 */
export interface UpstreamSession {
  /** Null until `initialize` was answered with a result. */
  readonly agreement: SessionAgreement | null;
  /** Null for a session without id upstream, or that has not begun. */
  readonly place: SessionPlace | null;
  /**
   * Relays a request. That of a new session must be `initialize`: what is sent is the `ClientHello`, and the answer is complete
   * when the sink has it. `onMessage` gets all that belongs to the request, server requests among it. A refusal is returned
   * when nothing was sent. After `SESSION_UNKNOWN` the upstream has forgotten the session, and nothing was done.
   */
  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal;
  /** Relays a notification, fire and forget. `taken` is called once: the upstream has it, or never will. */
  notify(message: Envelope, options: RequestOptions, taken?: () => void): Refusal | null;
  /** Delivers the client's response to a request of the server. Whether the server asked is the server's to know. */
  respond(message: Envelope, options: RequestOptions): Refusal | null;
  /**
   * Opens a stream for what the server says outside of requests, or goes on with a broken one behind `lastEventId` (an
   * upstream's own id, empty for none).
   */
  listen(lastEventId: string, options: RequestOptions, sink: StreamSink): Listening | Refusal;
  /** The client took a request back, or got its reply, by way of another worker or stream: who has it under way here ends it. `idToken` is raw JSON. */
  cancelled(idToken: string): void;
  /**
   * Tells the upstream that the session is over (DELETE, end of the child), which ends what is in flight. `closed` is called
   * once: the upstream knows, or never will. Idempotent.
   */
  close(closed?: () => void): void;
}
