import type { Access } from './access.ts';
import type { Envelope } from './envelope.ts';
import type { Refusal } from './refusal.ts';
import type { VirtualServer } from './virtual.ts';
import type { ClientHello, SessionPlace, StreamMark, UpstreamSession } from './upstream-session.ts';

/** `virtual`: none, it is several servers behind one path. */
export type TransportName = 'stdio' | 'http' | 'sse' | 'websocket' | 'virtual';

/** `starting` until the first handshake; `ready` after one; `down` when the last attempt failed; `closed` for good. */
export type UpstreamState = 'starting' | 'ready' | 'down' | 'closed';

/** What the upstream said of itself when it was initialised. JSON texts, already checked and bounded. */
export interface UpstreamInfo {
  readonly protocolVersion: string;
  readonly name: string;
  readonly version: string;
  /** The `serverInfo` object as JSON text. */
  readonly serverInfo: string;
  /** Names of its capabilities: `tools`, `resources`, `prompts`, `logging`, `completions` … */
  readonly capabilities: ReadonlySet<string>;
  /** The same as it came, with the options: a JSON object. */
  readonly capabilitiesJson: string;
  readonly instructions: string | null;
}

/**
 * Why something of a member is missing in the answer of a virtual server: the member did not answer, or in time, or not with
 * a list; the whole is too large; a name is too long with its prefix; another member has that URI.
 */
export type LeftOutReason = 'unavailable' | 'late' | 'invalid' | 'too_large' | 'name_too_long' | 'duplicate';

/** What an upstream lists; each kind has a `notifications/<kind>/list_changed` of its own. */
export type ListKind = 'tools' | 'resources' | 'prompts';

/** `half_open`: its time is over, and one request finds out whether it closes. */
export type CircuitState = 'closed' | 'open' | 'half_open';

/** What the end of a request tells of its upstream: it answered, whatever it said, or did not (connect, timeout, 5xx). */
export type Health = 'alive' | 'failed';

/**
 * - `pass`: send it.
 * - `probe`: send it, it is the one that finds out: its end must be reported.
 * - `ask`: another worker may be finding out: `askProbe`.
 * - `refused`: leave the upstream alone.
 */
export type Admission = 'pass' | 'probe' | 'ask' | 'refused';

/**
 * Circuit breaker of one upstream: opens after so many consecutive failures, half-opens after a while, closes when the one
 * probe is answered. A failure counts only when nothing was answered since its request was sent: a caller's slow calls
 * cannot close a server to the others.
 */
export interface Circuit {
  readonly state: CircuitState;
  /** Seconds until it is half open, ≥ 1. */
  readonly retryAfterSecs: number;
  /** Called after `state` has changed. */
  onChange: (() => void) | null;
  admit(): Admission;
  /** After `ask`: calls back exactly once, never inside; true makes the request the probe. */
  askProbe(done: (isGranted: boolean) => void): void;
  /** A request is over; null: its end tells nothing. `sentMs` of the monotonic clock. Exactly once for a probe. */
  report(health: Health | null, sentMs: number, isProbe: boolean): void;
}

/**
 * Receives what an upstream answers to one request. Zero or more `onStream`/`onMessage`/`onMark`, then exactly one of
 * `onReply`, `onFail`, `onSuspended`, `onDeferred` and `onCancelled`, never inside `request`. After `detach` nothing is called any more. Bytes are complete JSON-RPC
 * messages with the client's own id and progress token restored, safe to send as they are; owned by the receiver.
 */
export interface ReplySink {
  /** The upstream has begun to answer with an event stream. */
  onStream(): void;
  /**
   * A notification that belongs to this request (progress, logging), in a session also a request of the server. False: the
   * client reads slowly, pause if you can. `mark`: in sessions whose streams can be resumed.
   */
  onMessage(bytes: Buffer, mark?: StreamMark): boolean;
  /** The response. `isError` when it is a JSON-RPC error; `code` is its code then, else 0. */
  onReply(bytes: Buffer, isError: boolean, code: number, mark?: StreamMark): void;
  /** In a session only: a position without a message. */
  onMark?(mark: StreamMark): void;
  /** In a session only: the reply is given on another stream, by which the client has come back. */
  onSuspended?(): void;
  /**
   * In a session only: the upstream closed the stream after a mark, and the client fetches the rest with it (2025-11-25, Transports).
   * The upstream works on: `detach` then tells when that is over.
   */
  onDeferred?(): void;
  /** No response will come. `detail` is for log and audit only. Without `health` the failure tells nothing of the upstream. */
  onFail(refusal: Refusal, detail: string, health?: Health): void;
  /** The client took its request back: it wants no response (MCP 2025-11-25, cancellation). */
  onCancelled(): void;
}

/** What a server of revision 2026-07-28 says of itself, reduced to what the gateway relays. */
export interface ModernInfo {
  /** The result of `server/discover` as JSON text. */
  readonly discover: string;
  /** It declares the tasks extension. */
  readonly hasTasks: boolean;
  /**
   * Names the process or connection that said so (12 random bytes in base64url), new with each; empty for a server that all reach alike. Its tasks are gone
   * with it, and its successor may give their ids to others.
   */
  readonly life: string;
  /** The same in the words of the older revisions. */
  readonly legacy: UpstreamInfo;
}

/** Tasks of one caller that one process or connection has. */
export interface TaskGroup {
  readonly server: string;
  /** That one (`ModernOptions`); empty: every worker reaches the same server. */
  readonly place: Buffer;
  /** The client's names of them, by the server's ids. */
  readonly names: ReadonlyMap<string, string>;
}

/** What a request of revision 2026-07-28 carries beside its message. */
export interface ModernOptions {
  /** Names and values of `Mcp-Param-*` headers, flat; null for none. `from_body`: the message came without headers, they are to be made. */
  readonly params: readonly string[] | null | 'from_body';
  /** Of a request about what one process or connection has (a task): that one, as `onPlace` named it. Another one is no substitute. */
  readonly place?: Buffer;
  /** Of a subscription: the tasks that it is to hear of, beside what its message says. */
  readonly tasks?: readonly TaskGroup[];
  /** Told before the answer which process or connection the request was sent to, where they are not all alike. The name is good in every worker and host. */
  readonly onPlace?: (place: Buffer) => void;
  /** Among upstreams: the same within a worker, by the life (`ModernInfo`) of the process or connection. */
  readonly life?: string;
  /** `worker`: that has it, if that is another one. */
  readonly onLife?: (life: string, worker?: number) => void;
}

/** Per-request facts beside the message itself. */
export interface RequestOptions {
  /** Rest of the path behind the server's prefix, starting with `/`, or empty: appended to the URL with `strip_prefix`. */
  readonly restPath: string;
  /** Owner of the request: only the same principal can cancel it. */
  readonly principalKey: string;
  /** The client's own session that it belongs to; absent or null: the shared way. */
  readonly session?: UpstreamSession | null;
  /** Whose child process serves it, where children are not shared; `principalKey` when absent. */
  readonly childKey?: string;
  /** In a session: when the server closes the stream before the answer, the rest is fetched on the client's behalf, who cannot. */
  readonly isFetchedHere?: boolean;
  /** Present for a message of revision 2026-07-28. */
  readonly modern?: ModernOptions;
  /** What the caller may do; asked by virtual servers only, whose answers come from several servers. */
  readonly access?: Access;
}

/** A request in flight. */
export interface InFlight {
  /**
   * The client is gone: nothing is delivered any more; the upstream's answer is awaited and dropped. `whenOver` is called once,
   * when the wait for it has ended. For a request of revision 2026-07-28 that is a cancellation, and the wait over at once.
   */
  detach(whenOver: () => void): void;
  /** The client is gone, but whoever calls this must hear of the end all the same; a stream that can be resumed is given up,
   * and the request goes on until its answer was seen on another, or its deadline has passed. */
  gone?(): void;
  /** The client reads again after `onMessage` returned false. */
  resume(): void;
}

/** A configured MCP server, with whatever connection, child process and session stand behind it. */
export interface Upstream {
  readonly name: string;
  readonly transport: TransportName;
  readonly isRequired: boolean;
  readonly state: UpstreamState;
  /** Why it is not ready; for operators (`/routes`, log), never for clients. Null when ready. */
  readonly detail: string | null;
  /** Null until the first handshake. Kept while down. */
  readonly info: UpstreamInfo | null;
  /** Null unless it is known to speak revision 2026-07-28. */
  readonly modern: ModernInfo | null;
  /** What it is shown as in that revision though it knows older ones only, whose requests are translated for it; null or absent where they are not. */
  readonly bridged?: ModernInfo | null;
  readonly inFlight: number;
  readonly circuit: CircuitState;
  /** Seconds after which what is refused now is worth another try, ≥ 1. */
  readonly retryAfterSecs: number;
  /** Process groups of its children in this worker, for a last kill when the worker ends without closing. */
  readonly pids: readonly number[];
  /** Begins to connect; never throws, failures show in `state`. */
  start(): void;
  /** Relays a request. A refusal is returned when nothing was sent. */
  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal;
  /** Relays a notification: fire and forget. `notifications/cancelled` is translated to the internal id, or dropped. */
  notify(message: Envelope, options: RequestOptions, taken?: () => void): Refusal | null;
  /** A session of one client's own, not begun: its first request is `initialize`. Null: all clients share what there is. */
  newSession(hello: ClientHello): UpstreamSession | null;
  /** Goes on with a session that any worker began. Null when it is none of this transport's, or is known to be gone. */
  resumeSession(place: SessionPlace): UpstreamSession | null;
  /** Fails what is in flight, ends the session, the connections and the whole process tree. Idempotent. */
  close(): Promise<void>;
}

/** How requests for the lists of an upstream were answered since the start, and what is kept of them. */
export interface ListFigures {
  readonly server: string;
  readonly hits: number;
  /** The upstream was asked. */
  readonly misses: number;
  /** They waited for a request that was under way. */
  readonly joined: number;
  /** With an old page, because no new one was to be had. */
  readonly stale: number;
  /** Passed on as they came. */
  readonly bypassed: number;
  readonly invalidations: number;
  readonly pages: number;
  readonly bytes: number;
}

/** What upstreams report. Never throws. */
export interface UpstreamEvents {
  stateChanged(upstream: Upstream): void;
  /** One line of a child's stderr, redacted and rate-limited by the receiver. */
  stderrLine(server: string, line: string): void;
  /** What was dropped: a line or event that is no JSON-RPC message, or one that nobody waits for; a tool with a malformed `x-mcp-header`. */
  noise(server: string, kind: 'not_json' | 'unmatched' | 'oversize' | 'server_request' | 'bad_annotation'): void;
  restarted(server: string, attempt: number): void;
  /** A virtual server left something of a member out of its answer: all that it lists (`what`: why), or `count` things of which `what` is the first. */
  leftOut(server: string, member: string, reason: LeftOutReason, what: string, count: number): void;
  /** It said that one of its lists is another now (`notifications/…/list_changed`); null: it may have said so of any while nobody heard it. */
  listChanged(server: string, kind: ListKind | null): void;
  /** A child of a pool was started or has ended. */
  childrenChanged(server: string): void;
  /** Its circuit opened, half-opened or closed. */
  circuitChanged(upstream: Upstream): void;
}

/** A request path resolved to an upstream. */
export interface Route {
  readonly upstream: Upstream;
  /** The same as `upstream` when that is a virtual server, else null. */
  readonly virtual: VirtualServer | null;
  /** Rest of the path behind the match, starting with `/`, or empty. */
  readonly restPath: string;
}

/** Resolves `/mcp…` paths: exact server name first, then the longest prefix on a segment boundary. */
export interface RouteTable {
  match(path: string): Route | null;
}
