import { checkKeyHash } from './key-hash.ts';
import { choice, flag, type GroupField, group, integer, later, number, secret, text, textList } from './schema-types.ts';
import {
  checkAddress,
  checkCidr,
  checkHost,
  checkHostPattern,
  checkMethod,
  checkNoNul,
  checkOrigin,
  checkStrongSecret,
  checkToken,
} from './syntax.ts';

const MAX_BODY_BYTES = 256 * 1024 * 1024;
const DAY_SECS = 86_400;

const CORS_METHODS = ['POST', 'GET', 'DELETE', 'OPTIONS'];
const CORS: GroupField = group(
  'Cross-origin access for browsers. MCP clients send `Authorization`, so origins and headers are always listed by name.',
  {
    enabled: flag(false, 'Answers preflights and adds `Access-Control-*` headers for the listed origins.'),
    allowed_origins: textList([], 'Origins that may call, such as `https://app.example`; `*` is refused.', { check: checkOrigin }),
    allowed_methods: textList(CORS_METHODS, 'Methods named in preflight answers.', { check: checkMethod }),
    allowed_headers: textList(
      [],
      'Request headers that are allowed beside those of MCP; `*` is refused, it does not cover `Authorization`.',
      { check: checkToken },
    ),
    max_age: integer(0, DAY_SECS, 600, 'Seconds for which browsers keep a preflight answer.'),
  },
);

const TLS: GroupField = group('HTTPS. Implies `engine = "node"`. Both paths are needed; the files must be usable and belong together.', {
  cert_path: text(null, 'PEM certificate chain, leaf first. Relative to the configuration file.', { check: checkNoNul }),
  key_path: text(null, 'PEM private key, not encrypted. Relative to the configuration file.', { check: checkNoNul }),
  client_ca_path: later(
    text(null, 'PEM certificates of the authorities whose client certificates authenticate callers.', { check: checkNoNul }),
  ),
  min_version: choice(['TLSv1.2', 'TLSv1.3'], 'TLSv1.2', 'Oldest protocol version accepted.'),
});

const WEBSOCKET: GroupField = group('WebSocket for clients: `GET /ws`, or `/ws/<server>`, with subprotocol `mcp`.', {
  enabled: flag(false, 'Whether it is served.'),
});

const SSE: GroupField = group('HTTP+SSE of revision 2024-11-05 for clients: `GET /sse`, or `/sse/<server>`, and `POST /messages`.', {
  enabled: flag(false, 'Whether it is served.'),
});

const ADMIN: GroupField = group(
  'A listener of its own for metrics, routes and the other admin endpoints. Without it they are on the main one and need an admin.',
  {
    host: text('127.0.0.1', 'Address of the admin listener; off loopback it needs `tokens`.', { check: checkHost }),
    port: integer(0, 65_535, null, 'Port of the admin listener; not set = no admin listener. 0 = pick one.'),
    tokens: textList([], 'Hashes of tokens that are admin credentials, in the forms of `auth.api_keys[].key_hash`.', {
      sensitivity: 'secret',
      check: checkKeyHash,
    }),
  },
);

export const SERVER: GroupField = group('How clients reach the gateway.', {
  host: text('127.0.0.1', 'Address to listen on; IPv6 literals with or without brackets. Off loopback it needs authentication.', {
    check: checkHost,
  }),
  port: integer(0, 65_535, 3000, 'Port to listen on; 0 = pick a free one and print it.'),
  engine: choice(['uws', 'node'], 'uws', 'HTTP implementation. With TLS the default is `node`, and `uws` is refused.'),
  profile: choice(
    ['default', 'hardened'],
    'default',
    '`hardened` lowers limits and raises strictness: it changes the defaults marked below, never a value that is set.',
  ),
  workers: integer(0, 256, null, 'Worker processes; 0 = everything in one process; `auto` (the default) = one per available processor.', {
    word: 'auto',
  }),
  max_request_size: integer(1, MAX_BODY_BYTES, 1_048_576, 'Largest request body in bytes.', { hardened: 262_144 }),
  chunked_bodies: hardenedChoice(
    ['close', 'refuse'],
    'close',
    'refuse',
    'Request bodies without Content-Length: `close` accepts them and closes the connection afterwards, `refuse` answers 411.',
  ),
  allowed_hosts: textList(
    null,
    'Values of `Host` that are served, on the admin listener too, as `name` or `name:port`. Default: the loopback names on a loopback address, otherwise unchecked.',
    {
      check: checkHostPattern,
    },
  ),
  allowed_origins: textList(null, 'Values of `Origin` that are served. Default: loopback origins on a loopback address, otherwise none.', {
    check: checkOrigin,
  }),
  cors: CORS,
  tls: TLS,
  trusted_proxies: textList(
    [],
    'Addresses or CIDR blocks whose `X-Forwarded-For` and `Forwarded` are believed; the client is the rightmost untrusted address.',
    { check: checkCidr },
  ),
  drain_timeout_secs: number(0, 3600, 10, 'Longest time for requests in progress to finish at shutdown, `drain_delay_secs` included.', {
    hardened: 30,
  }),
  drain_delay_secs: number(0, 3600, 0, 'Time between `/ready` turning 503 and the listener closing, for load balancers to notice.', {
    hardened: 5,
  }),
  idle_timeout_secs: number(
    1,
    DAY_SECS,
    60,
    'Idle connections are closed after this time. `node` engine only; `uws` closes at 10 to 12 s.',
  ),
  max_connections: integer(1, 1_000_000, 10_000, 'Open connections per worker.', { hardened: 4000 }),
  max_connections_per_ip: integer(
    0,
    1_000_000,
    0,
    'Open connections per address (IPv6: per /64) and worker, trusted proxies exempt; 0 = no limit.',
    {
      hardened: 64,
    },
  ),
  max_json_depth: integer(4, 512, 64, 'Deepest nesting of a request body.', { hardened: 32 }),
  max_json_keys: integer(16, 1_000_000, 10_000, 'Most object keys in a request body.', { hardened: 1000 }),
  strict_accept: flag(false, 'Whether `Accept` must name both `application/json` and `text/event-stream`, as MCP demands.', true),
  websocket: WEBSOCKET,
  sse: SSE,
  advertise_address: text(
    null,
    'How other hosts reach this one for relayed sessions, as `host:port`; needs `peer_secret` and `session.seal_keys`. Not set = sessions are relayed to no other host.',
    { check: checkAddress },
  ),
  peer_listen: text(null, 'Where this host listens for them, as `host:port`. Default: `advertise_address`.', { check: checkAddress }),
  peer_secret: secret('Shared by all hosts that relay sessions to each other; at least 43 characters.', { check: checkStrongSecret }),
  admin: ADMIN,
});

function hardenedChoice(choices: readonly string[], byDefault: string, hardened: string, description: string): ReturnType<typeof choice> {
  return { ...choice(choices, byDefault, description), hardened };
}
