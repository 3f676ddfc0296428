import type { Grants } from './access.ts';
import type { LimitSpec } from './principal.ts';
import type { TransportName } from './upstream.ts';

/**
 * The checked configuration: defaults applied, references resolved, durations in milliseconds, secrets in plain. Plain
 * data (survives msgpackr and structured clone), frozen, one version each.
 */
export interface ConfigSnapshot {
  /** First 16 hex digits of the SHA-256 of the effective configuration: the audit's `policy_version`. */
  readonly version: string;
  /** The file it came from, or `built-in demo`. */
  readonly source: string;
  readonly server: ServerSettings;
  readonly auth: AuthSettings;
  readonly rateLimit: RateLimitSettings;
  /** Null: this gateway shares nothing with other hosts. */
  readonly redis: RedisSettings | null;
  readonly session: SessionSettings;
  readonly policy: PolicySettings;
  readonly audit: AuditSettings;
  readonly logging: LoggingSettings;
  /** At least one. */
  readonly upstreams: readonly UpstreamSettings[];
  /** Endpoints that merge several of them; `upstream.aggregate` comes first. */
  readonly virtuals: readonly VirtualSettings[];
  /** The single `[upstream]` form: a missing command is a start-up error instead of a server marked down. */
  readonly isSingleUpstream: boolean;
}

export interface ServerSettings {
  readonly host: string;
  readonly port: number;
  readonly engine: 'uws' | 'node';
  readonly profile: 'default' | 'hardened';
  /** Resolved: 0 = everything in one process. `auto` = available parallelism. */
  readonly workers: number;
  readonly maxRequestBytes: number;
  /** Null: derived (loopback names when bound to loopback, else unchecked). Entries are `name` or `name:port`. */
  readonly allowedHosts: readonly string[] | null;
  /** Null: derived (loopback origins when bound to loopback, else none). */
  readonly allowedOrigins: readonly string[] | null;
  readonly cors: CorsSettings;
  readonly tls: TlsSettings | null;
  /** CIDR blocks or addresses. */
  readonly trustedProxies: readonly string[];
  readonly drainTimeoutMs: number;
  readonly drainDelayMs: number;
  readonly idleTimeoutMs: number;
  readonly maxConnections: number;
  /** 0 = off. */
  readonly maxConnectionsPerIp: number;
  readonly maxJsonDepth: number;
  readonly maxJsonKeys: number;
  readonly isAcceptStrict: boolean;
  /** `GET /ws`. */
  readonly isWebSocketEnabled: boolean;
  /** `GET /sse` and `POST /messages`. */
  readonly isSseEnabled: boolean;
  /** `close`: a chunked body is accepted and its connection closed; `refuse`: 411. */
  readonly chunkedBodies: 'close' | 'refuse';
  readonly admin: AdminSettings;
  /** Null: sessions are relayed to no other host. */
  readonly peers: PeerSettings | null;
}

/** How hosts relay requests to each other whose sessions live in one of them. */
export interface PeerSettings {
  /** How other hosts reach this one: `host:port` in lower case, as it stands in the ids of sessions that begin here. */
  readonly advertised: string;
  /** Where this one listens for them. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly secret: string;
}

export interface CorsSettings {
  readonly isEnabled: boolean;
  readonly allowedOrigins: readonly string[];
  readonly allowedMethods: readonly string[];
  readonly allowedHeaders: readonly string[];
  readonly maxAgeSecs: number;
}

export interface TlsSettings {
  readonly certPath: string;
  readonly keyPath: string;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
}

export interface AdminSettings {
  /** Null: no separate listener, admin endpoints need an admin credential on the main one. */
  readonly listen: { readonly host: string; readonly port: number } | null;
  /** SHA-256 digests, base64. */
  readonly tokenHashes: readonly string[];
}

export interface AuthSettings {
  readonly isAnonymousAllowed: boolean;
  /** What an identity without `allowed_tools` may call. */
  readonly defaultTools: 'all' | 'none';
  readonly isXApiKeyAccepted: boolean;
  readonly apiKeys: readonly ApiKeySettings[];
  /** `auth.resource_metadata`; null = derived from the request's Host. */
  readonly resourceMetadata: ResourceMetadataSettings | null;
}

export interface ApiKeySettings {
  readonly id: string;
  /** SHA-256 of the whole key, standard base64, 44 characters. */
  readonly keyHash: string;
  readonly grants: Grants;
  /** Null: the default limit. */
  readonly limit: LimitSpec | null;
  /** Wall-clock milliseconds; null = never. */
  readonly expiresAtMs: number | null;
  readonly roles: readonly string[];
}

export interface ResourceMetadataSettings {
  readonly resource: string;
  readonly authorizationServers: readonly string[];
  readonly scopesSupported: readonly string[];
}

export interface RateLimitSettings {
  readonly isEnabled: boolean;
  readonly default: LimitSpec;
  /** Whether a call that policy denies still costs its token. */
  readonly isDeniedCounted: boolean;
  /** Requests in progress per principal, over all workers. */
  readonly maxInFlight: number;
  /** Per client address, before authentication; null = none. */
  readonly address: LimitSpec | null;
  /** Per principal and pattern, in order: the first that matches a call's tool decides. */
  readonly tools: readonly ToolLimit[];
  /** Per principal and tool where no pattern matches; null = none. */
  readonly perToolDefault: LimitSpec | null;
  /** Per principal and JSON-RPC method. */
  readonly methods: readonly MethodLimit[];
  /** Most keys a worker and the authority hold each. */
  readonly maxIdentities: number;
  /** A full bucket is forgotten after this long without a take. */
  readonly idleTtlMs: number;
}

export interface ToolLimit {
  /** Pattern over tool names, `server:tool` form allowed, as in policy. */
  readonly pattern: string;
  /** Null: only `cost` is set. */
  readonly limit: LimitSpec | null;
  /** Tokens of the principal's own budget that a call takes, ≥ 1. */
  readonly cost: number;
}

export interface MethodLimit {
  readonly method: string;
  readonly limit: LimitSpec;
}

/** The store that hosts share. */
export interface RedisSettings {
  /** One node, the nodes of a Cluster (any subset), or Sentinels. */
  readonly mode: 'single' | 'cluster' | 'sentinel';
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  /** Name of the master; Sentinel only. */
  readonly sentinelName: string | null;
  readonly username: string | null;
  readonly password: string | null;
  readonly database: number;
  readonly prefix: string;
  readonly tls: { readonly caPath: string | null; readonly isVerified: boolean } | null;
  /** Most gateways (hosts) that use this store at the same time: an outage leaves each its share of a limit. */
  readonly maxHosts: number;
}

export interface SessionSettings {
  /** Keys that seal session ids, newest first; null: made at start, so that sessions end with the gateway. */
  readonly sealKeys: readonly string[] | null;
  readonly idleTtlMs: number;
  readonly maxPerPrincipal: number;
  readonly events: SessionEventSettings;
  /** A call whose stream is silent for as long is fetched by its client, with revision 2025-11-25; 0: never. */
  readonly pollAfterMs: number;
}

/** What is kept of the streams of sessions whose servers cannot keep it. */
export interface SessionEventSettings {
  /** Of one session; 0: nothing is kept. */
  readonly maxMessages: number;
  /** Of one session. */
  readonly maxBytes: number;
  /** Of all sessions of a worker. */
  readonly maxTotalBytes: number;
}

export interface PolicySettings {
  readonly tools: { readonly allow: readonly string[] | null; readonly deny: readonly string[] };
}

export interface AuditSettings {
  readonly isEnabled: boolean;
  readonly isStdout: boolean;
  /** Absolute path; null = no file. */
  readonly file: string | null;
  readonly redactionRules: readonly RedactionRule[];
  readonly rotation: RotationSettings;
}

/** Replaces what `pattern` (linear-time regular expression) matches in any string of log and audit. */
export interface RedactionRule {
  readonly name: string;
  readonly pattern: string;
  readonly replacement: string;
}

export interface RotationSettings {
  /** 0 = never by size. */
  readonly maxBytes: number;
  /** 0 = never by age. */
  readonly maxAgeMs: number;
  /** Rotated files kept, oldest removed first. */
  readonly keep: number;
  readonly isCompressed: boolean;
}

export interface LoggingSettings {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error';
  /** `auto`: pretty on a terminal, JSON otherwise. */
  readonly format: 'auto' | 'json' | 'pretty';
}

export interface UpstreamSettings {
  readonly name: string;
  /** `/fs`; `/` is the catch-all; null = reachable by name only. */
  readonly pathPrefix: string | null;
  readonly isPrefixStripped: boolean;
  readonly transport: TransportName;
  readonly isRequired: boolean;
  /** Idle deadline of a request; progress resets it. */
  readonly timeoutMs: number;
  /** Hard deadline of a request. */
  readonly timeoutMaxMs: number;
  /** Other deadlines of single tools, in order: the first that matches a call's tool decides. */
  readonly toolTimeouts: readonly ToolTimeout[];
  /** Requests in progress over all workers; 0 = the most that a worker keeps. */
  readonly maxConcurrency: number;
  /** Longest wait for a place when all are taken; 0 = refused at once. */
  readonly queueMs: number;
  /** Most requests that wait so, over all workers. */
  readonly queueMax: number;
  /** Null: switched off. */
  readonly breaker: BreakerSettings | null;
  readonly maxResponseBytes: number;
  /** How long the pages of its lists are kept; 0 = not at all. */
  readonly listCacheMs: number;
  /** Requests of revision 2026-07-28 are translated for a server that knows only older ones; else their clients are told to fall back. */
  readonly isBridged: boolean;
  readonly stdio: StdioSettings | null;
  /** Of every transport that has a URL. */
  readonly http: HttpSettings | null;
  /** Each session of a client has a child process or connection of its own. */
  readonly hasOwnChannels: boolean;
}

export interface ToolTimeout {
  /** Pattern over the server's tools, as in policy. */
  readonly pattern: string;
  readonly timeoutMs: number;
  readonly timeoutMaxMs: number;
}

export interface BreakerSettings {
  /** Consecutive failures that open it. */
  readonly failures: number;
  readonly openMs: number;
}

export interface StdioSettings {
  readonly command: string;
  readonly args: readonly string[];
  /** All that the child sees beside a minimal PATH, HOME, LANG. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string | null;
  readonly isShellAllowed: boolean;
  readonly maxLineBytes: number;
  /** Null: one child in each worker, for all callers. */
  readonly pool: PoolSettings | null;
}

/** The children of one server, counted over all workers. */
export interface PoolSettings {
  /** Whose calls one child serves: everybody's, or one principal's. */
  readonly isolation: 'shared' | 'principal';
  /** Kept even when idle; `shared` only. */
  readonly min: number;
  readonly max: number;
  /** Longest wait for a child. */
  readonly queueMs: number;
  /** Calls that a shared child works on at a time; 0 = any number. */
  readonly childCalls: number;
  /** A child that nobody needed for as long is ended. */
  readonly idleMs: number;
  /** Replaced after so many calls; 0 = never. */
  readonly recycleCalls: number;
  /** Replaced when it, with all it started, holds more memory; 0 = never. */
  readonly recycleBytes: number;
}

export interface HttpSettings {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly arePrivateNetworksAllowed: boolean;
}

/** An endpoint that merges servers. */
export interface VirtualSettings {
  /** As in log, audit and metrics; no server has it. */
  readonly name: string;
  /** `upstream.aggregate`, else one of `upstream.virtual[]`. */
  readonly isAggregate: boolean;
  /** Behind `/mcp`: `/` is `/mcp` itself. */
  readonly path: string;
  /** Stands between the name of a server and that of its tool or prompt. */
  readonly separator: string;
  /** Names of the members, in the order of their lists. */
  readonly servers: readonly string[];
  /** Patterns of what is offered; null = everything. Of tools and prompts over the members' own names. */
  readonly tools: readonly string[] | null;
  readonly prompts: readonly string[] | null;
  readonly resources: readonly string[] | null;
  /** Longest wait for the list of one member. */
  readonly listTimeoutMs: number;
}

/** A fault found in the configuration. `path` as in `auth.api_keys[0].id`; position 1-based where known. */
export interface ConfigProblem {
  readonly path: string;
  readonly message: string;
  readonly severity: 'error' | 'warning';
  readonly line?: number;
  readonly column?: number;
}
