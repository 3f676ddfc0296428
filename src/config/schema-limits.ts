import { checkRedisUrl } from './redis-url.ts';
import { choice, flag, type GroupField, group, groupList, integer, laterAndOff, number, secret, text, textList } from './schema-types.ts';
import { checkNoNul, checkStrongSecret, checkUrl } from './syntax.ts';

/** One request in about three hours is the slowest rate that is kept. */
export const MIN_PER_SECOND = 0.0001;
export const MAX_PER_SECOND = 1_000_000;
export const MAX_BURST = 1_000_000;

const IDENTITIES = 131_072;
const MAX_IDENTITIES = 2 ** 21;
const IDLE_TTL_SECS = 60;
const HOUR_SECS = 3600;
const MIB = 1_048_576;

export const FAIL_MODES = ['local', 'closed', 'open'] as const;

const RATE = number(MIN_PER_SECOND, MAX_PER_SECOND, null, 'Tokens that come back per second.');
const REQUIRED_RATE: typeof RATE = { ...RATE, isRequired: true };
const BURST = integer(1, MAX_BURST, null, 'Most tokens at once. Default: half of the rate rounded down, at least 1.');
const OWN_FAIL_MODE = choice(FAIL_MODES, null, 'Its own `rate_limit.fail_mode`.');

export const RATE_LIMIT: GroupField = group('How much each caller may do: a token bucket per principal, over all workers and hosts.', {
  enabled: flag(true, 'Whether callers are limited at all.'),
  requests_per_second: number(MIN_PER_SECOND, MAX_PER_SECOND, 25, 'Requests per second of each caller.'),
  burst_size: integer(1, MAX_BURST, 10, 'Requests of each caller at once.'),
  count_denied: flag(true, 'Whether a call that policy denies costs its token.'),
  max_in_flight: integer(1, 100_000, 64, 'Requests in progress per caller; none is refused with `enabled = false`.', {
    hardened: 16,
  }),
  fail_mode: choice(
    FAIL_MODES,
    'local',
    'What happens while nobody can be asked for tokens: `local` keeps to a share of the limit, `closed` refuses (503), `open` admits.',
  ),
  max_identities: integer(64, MAX_IDENTITIES, IDENTITIES, 'Most buckets that a worker, and the primary process, hold at once.'),
  idle_ttl_secs: integer(1, HOUR_SECS, IDLE_TTL_SECS, 'A full bucket is forgotten after this time without use.'),
  tool_limits: groupList('Limits per caller and tool pattern; of several patterns the first that matches decides.', {
    tool_pattern: text(null, 'Tools it holds for, as in `allowed_tools`; `server:tool` limits it to a server.', { isRequired: true }),
    requests_per_second: RATE,
    burst_size: BURST,
    cost: integer(1, MAX_BURST, 1, "Tokens that a call takes from its caller's own bucket."),
    fail_mode: OWN_FAIL_MODE,
  }),
  method_limits: groupList('Limits per caller and JSON-RPC method.', {
    method: text(null, 'Method it holds for.', { isRequired: true }),
    requests_per_second: REQUIRED_RATE,
    burst_size: BURST,
    fail_mode: OWN_FAIL_MODE,
  }),
  per_tool_default: group('Limit per caller and tool where no pattern of `tool_limits` matches.', {
    requests_per_second: RATE,
    burst_size: BURST,
    fail_mode: OWN_FAIL_MODE,
  }),
  ip: group('Limit per IPv4 address or IPv6 /64, before authentication: also failed attempts count.', {
    requests_per_second: RATE,
    burst_size: BURST,
    fail_mode: OWN_FAIL_MODE,
  }),
});

export const REDIS: GroupField = group('The store that several hosts share, for limits that hold over all of them.', {
  url: secret(
    '`redis://user:password@host:port/database`, `rediss://` for TLS, `redis+sentinel://host:port,host:port/master`, `redis+cluster://host:port,host:port`, or `host:port` of one node or several of a Cluster.',
    { check: checkRedisUrl },
  ),
  prefix: text('mcp-guard:', 'Put before every key.', { check: checkRedisPrefix }),
  tls: flag(false, 'Whether the connection is encrypted, as with `rediss://`.'),
  ca_path: text(null, 'PEM file of the authority that signed the certificates of the store. Default: those that Node trusts.', {
    check: checkNoNul,
  }),
  tls_verify: flag(true, 'Whether the certificates of the store are checked.'),
  max_hosts: integer(1, 1000, 4, 'Most gateways that use the store at a time: while it is lost, each keeps to this part of every limit.'),
});

/** Braces would decide on which node of a Cluster keys lie. */
function checkRedisPrefix(prefix: string): string | null {
  return /^[A-Za-z0-9:._-]{1,64}$/.test(prefix) ? null : 'must be 1 to 64 of A-Z a-z 0-9 : . _ -';
}

/** What a key of 256 random bits has at least, however it is written. */
export const SESSION: GroupField = group('MCP sessions.', {
  idle_ttl_secs: integer(1, 604_800, 1800, 'A session ends after this time without use.'),
  max_per_principal: integer(1, 100_000, 100, 'Open sessions per caller; one more ends the one that was unused longest.'),
  replay_messages: integer(
    0,
    100_000,
    1000,
    'Messages that are kept of a session with `isolation = "session"`, and of the batches of any, so that its client can come back for the rest of a stream; 0 = none, and no stream can be resumed.',
  ),
  replay_bytes: integer(1024, 256 * MIB, 10 * MIB, 'Bytes that are kept so of one session.', { hardened: 4 * MIB }),
  replay_total_bytes: integer(1024, 16_384 * MIB, 64 * MIB, 'Bytes that are kept so by each worker.', { hardened: 16 * MIB }),
  poll_after_secs: number(
    0,
    3600,
    0,
    'The stream of a call in a session that says nothing for as long is closed, and its client fetches the rest (revision 2025-11-25, where the stream can be resumed); 0 = never.',
  ),
  seal_keys: textList(
    null,
    'Keys that seal session ids, newest first, the same on all hosts that serve the same sessions. Default: one made at start.',
    { sensitivity: 'secret', check: checkStrongSecret },
  ),
});

export const TRACING: GroupField = laterAndOff(
  group('OpenTelemetry traces.', {
    enabled: flag(false, 'Whether spans are exported.'),
    service_name: text('mcp-guard', 'Name of the service in traces.'),
    otlp_endpoint: text(null, 'Where spans are sent.', { check: checkUrl, sensitivity: 'references' }),
    protocol: choice(['grpc', 'http'], 'grpc', 'How spans are sent.'),
    sample_rate: number(0, 1, 0.1, 'Share of requests that are traced.'),
    propagate_context: flag(true, 'Whether upstreams see the trace.'),
  }),
);
