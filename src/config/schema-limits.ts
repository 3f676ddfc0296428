import {
  choice,
  flag,
  type GroupField,
  group,
  groupList,
  integer,
  later,
  laterAndOff,
  number,
  secret,
  text,
  textList,
} from './schema-types.ts';
import { checkUrl } from './syntax.ts';

/** One request in about three hours is the slowest rate that is kept. */
export const MIN_PER_SECOND = 0.0001;
export const MAX_PER_SECOND = 1_000_000;
export const MAX_BURST = 1_000_000;

const RATE = number(MIN_PER_SECOND, MAX_PER_SECOND, null, 'Tokens that come back per second.', { isRequired: true });
const BURST = integer(1, MAX_BURST, null, 'Most tokens at once.');

export const RATE_LIMIT: GroupField = group('How much each caller may do: a token bucket per principal, kept per worker.', {
  enabled: flag(true, 'Whether callers are limited at all.'),
  requests_per_second: number(MIN_PER_SECOND, MAX_PER_SECOND, 25, 'Requests per second of each caller.'),
  burst_size: integer(1, MAX_BURST, 10, 'Requests of each caller at once.'),
  count_denied: flag(true, 'Whether a call that policy denies costs its token.'),
  max_in_flight: integer(1, 100_000, 64, 'Requests in progress per caller and worker; none is refused with `enabled = false`.', {
    hardened: 16,
  }),
  fail_mode: later(choice(['local', 'closed', 'open'], 'local', 'What happens when the authority on shared limits is lost.'), ['local']),
  tool_limits: later(
    groupList('Limits per caller and tool pattern.', {
      tool_pattern: text(null, 'Tools it holds for.', { isRequired: true }),
      requests_per_second: RATE,
      burst_size: BURST,
    }),
  ),
  method_limits: later(
    groupList('Limits per caller and JSON-RPC method.', {
      method: text(null, 'Method it holds for.', { isRequired: true }),
      requests_per_second: RATE,
      burst_size: BURST,
    }),
  ),
  per_tool_default: later(
    group('Limit per caller and tool where no pattern matches.', { requests_per_second: optional(RATE), burst_size: BURST }),
  ),
  ip: later(group('Limit per address, before authentication.', { requests_per_second: optional(RATE), burst_size: BURST })),
});

function optional(field: typeof RATE): typeof RATE {
  return { ...field, isRequired: false };
}

export const REDIS: GroupField = laterAndOff(
  group('One store that several hosts share: budgets, revocations, sessions.', {
    url: secret('`redis://`, `rediss://`, `redis+sentinel://` or several `host:port`; may carry a password.'),
    prefix: text('mcp-guard:', 'Put before every key.'),
    tls: flag(false, 'Whether the connection is encrypted.'),
  }),
);

export const SESSION: GroupField = later(
  group('MCP sessions.', {
    idle_ttl_secs: integer(1, 604_800, 1800, 'A session ends after this time without use.'),
    max_per_principal: integer(1, 100_000, 100, 'Open sessions per caller.'),
    seal_keys: textList(null, 'Keys that seal session ids, newest first, the same on all hosts. Default: made at start.', {
      sensitivity: 'secret',
    }),
  }),
);

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
