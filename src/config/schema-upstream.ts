import {
  type Fields,
  choice,
  flag,
  type GroupField,
  type GroupListField,
  group,
  groupList,
  integer,
  number,
  text,
  textList,
  textMap,
} from './schema-types.ts';
import {
  checkHeaderValue,
  checkNoNul,
  checkPathPrefix,
  checkSeparator,
  checkServerName,
  checkUpstreamHeader,
  checkUpstreamUrl,
  checkVariableName,
} from './syntax.ts';

const DAY_SECS = 86_400;
const MIB = 1_048_576;

/** The keys of one MCP server, the same in both forms. */
export const SERVER_FIELDS: Fields = {
  name: text(null, 'Name of the server: `/mcp/<name>` reaches it. Unique; required in `servers[]`, `default` otherwise.', {
    check: checkServerName,
  }),
  path_prefix: text(null, 'Also reached under `/mcp` + this prefix; the longest match wins, `/` matches last.', { check: checkPathPrefix }),
  strip_prefix: flag(
    false,
    '`http`: appends what follows the name or prefix in the request path to `url`; otherwise every request goes to `url` itself.',
  ),
  transport: choice(
    ['stdio', 'http', 'sse', 'websocket'],
    null,
    'How the server is reached. Default: `stdio` with `command`, `http` with `url`, `websocket` with a `url` that begins with `ws`.',
  ),
  command: text(null, '`stdio`: program to start, without a shell.', { check: checkNoNul, sensitivity: 'references' }),
  args: textList([], '`stdio`: its arguments, passed as they are.', {
    check: checkNoNul,
    sensitivity: 'references',
    isEmptyItemAllowed: true,
  }),
  env: textMap(
    "`stdio`: environment variables of the program; it sees nothing else of the gateway's environment but `PATH`, `HOME` and `LANG`.",
    {
      sensitivity: 'secret',
      checkName: checkVariableName,
      check: checkNoNul,
    },
  ),
  cwd: text(null, '`stdio`: its working directory; relative to the configuration file.', { check: checkNoNul }),
  allow_shell: flag(false, '`stdio`: permits a shell as `command`.'),
  url: text(
    null,
    'Not `stdio`: URL of the MCP endpoint, for `sse` that of the event stream; for `websocket` it begins with `ws:` or `wss:`.',
    {
      check: checkUpstreamUrl,
      sensitivity: 'references',
    },
  ),
  headers: textMap(
    "Not `stdio`: headers sent with every request, of a WebSocket with its upgrade. The client's own credentials are never forwarded.",
    {
      sensitivity: 'secret',
      checkName: checkUpstreamHeader,
      check: checkHeaderValue,
    },
  ),
  allow_private_networks: flag(false, 'Not `stdio`: permits private and loopback addresses. Cloud metadata addresses stay refused.'),
  timeout_secs: number(0.05, DAY_SECS, 30, 'Longest wait for an answer; progress starts it anew.', { hardened: 15 }),
  timeout_max_secs: number(0.05, DAY_SECS, 600, 'Longest time for a request whatever its progress.', { hardened: 120 }),
  tool_timeouts: groupList('Other deadlines of single tools; of several patterns the first that matches decides.', {
    tool_pattern: text(null, 'Tools of the server that they hold for, as in `allowed_tools`.', { isRequired: true }),
    timeout_secs: number(
      0.05,
      DAY_SECS,
      null,
      "Longest wait for an answer or progress. Default: the server's, or `timeout_max_secs` beside it if that is shorter.",
    ),
    timeout_max_secs: number(
      0.05,
      DAY_SECS,
      null,
      "Longest time for a call. Default: the server's, or `timeout_secs` beside it if that is longer.",
    ),
  }),
  max_concurrency: integer(
    0,
    1_000_000,
    1024,
    'Requests in progress over all workers; 0 = the most that a worker ever keeps (4,096 for `http`, 10,000 otherwise).',
  ),
  queue_secs: number(0, 3600, 0, 'Longest wait for a place when `max_concurrency` is reached; 0 = refused at once.'),
  queue_max: integer(1, 100_000, 256, 'Most requests that wait so, over all workers; each caller has its turn.'),
  max_response_size: integer(
    1024,
    256 * MIB,
    10 * MIB,
    'Not `stdio`: largest answer in bytes; of `sse` and `websocket` the largest message.',
    {
      hardened: 4 * MIB,
    },
  ),
  max_line_size: integer(1024, 256 * MIB, 10 * MIB, '`stdio`: longest line in bytes.', { hardened: 4 * MIB }),
  required: flag(true, 'Whether `/ready` is 503 while the server is down.'),
  isolation: choice(
    ['shared', 'principal', 'session'],
    'shared',
    'Who shares a connection or child process: all callers; the calls of one principal, anonymous callers by their network address (`stdio`); or nobody: each session has its own (not `http`).',
  ),
  pool: group(
    '`stdio`: child processes of the server, counted over all workers. With `isolation = "shared"` and nothing but the defaults here each worker has one child for all callers.',
    {
      min: integer(0, 1000, 0, 'Kept even when idle; `shared` only. One is started in any case, to learn what the server is.'),
      max: integer(1, 1000, null, 'Most at a time. Default: `min`, at least 1; with `isolation = "principal"` 64.'),
      child_calls: integer(0, 10_000, 1, 'Calls that one child works on at a time, `shared` only; 0 = any number.'),
      queue_secs: number(0, 3600, 5, 'Longest wait for a free one; 0 = refused at once. Of those that wait `queue_max` is the most.'),
      idle_secs: number(0.1, DAY_SECS, 300, 'A child above `min` that served nobody for as long is ended.'),
      recycle_calls: integer(0, 1_000_000_000, 0, 'Replaced after this many calls, when the last of them is answered; 0 = never.'),
      recycle_mb: integer(
        0,
        1_048_576,
        0,
        'Replaced when it and all it started hold more memory, in MiB; 0 = never. Looked at every five seconds.',
      ),
    },
  ),
  breaker: group('Circuit breaker: a server that fails is left alone for a while.', {
    enabled: flag(true, 'Whether there is one.'),
    failures: integer(1, 10_000, 5, 'Consecutive failures (no connection, no answer in time, HTTP 5xx) that open it.'),
    open_secs: number(0.1, 3600, 30, 'How long it stays open; then one request finds out whether the server answers again.'),
  }),
  modern_clients: choice(
    ['fall_back', 'bridge'],
    'fall_back',
    'Requests of revision 2026-07-28 to a server that knows only older ones: `fall_back` tells the client, which then begins a session; `bridge` translates them, in sessions of the gateway where the server asks or tells something.',
  ),
  tool_cache_ttl_secs: number(
    0,
    DAY_SECS,
    0,
    'How long each worker keeps the lists of the server (tools, resources, templates, prompts) for all callers, who see what they may of them; 0 = not at all.',
  ),
};

/** Keys of `SERVER_FIELDS` that only one transport has. */
export const STDIO_KEYS: readonly string[] = ['command', 'args', 'env', 'cwd', 'allow_shell', 'max_line_size', 'pool'];
export const HTTP_KEYS: readonly string[] = ['url', 'headers', 'allow_private_networks', 'strip_prefix', 'max_response_size'];

const SEPARATOR = text('__', 'Between the name of a server and that of its tool or prompt.', { check: checkSeparator });
const LIST_TIMEOUT = number(0.05, 600, 10, 'Longest wait for the list of one server; then the list comes without it.', { hardened: 5 });

const AGGREGATE: GroupField = group('One endpoint that merges all servers: `<server><separator><tool>`.', {
  enabled: flag(false, 'Whether it exists.'),
  path: text('/', 'Its path behind `/mcp`; `/` is `/mcp` itself.', { check: checkPathPrefix }),
  separator: SEPARATOR,
  list_timeout_secs: LIST_TIMEOUT,
});

const VIRTUAL: GroupListField = groupList('Endpoints that merge chosen servers, or chosen tools, prompts and resources of them.', {
  name: text(null, 'Its name in log, audit and metrics; no server has it.', { isRequired: true, check: checkServerName }),
  path: text(null, 'Its path behind `/mcp`. Default: `/` and its name.', { check: checkPathPrefix }),
  separator: SEPARATOR,
  servers: textList(null, 'Names of its servers, in the order of its lists; not set = all.', { check: checkServerName }),
  tools: textList(null, 'Patterns of the tools that it offers, as in `allowed_tools`: `server:tool`, by their own names; not set = all.'),
  prompts: textList(null, 'The same of prompts.'),
  resources: textList(null, 'Patterns of URIs of the resources that it offers; not set = all.'),
  list_timeout_secs: LIST_TIMEOUT,
});

export const UPSTREAM: GroupField = group(
  'The MCP server behind the gateway; or several, as `upstream.servers`. One of the two forms, not both.',
  {
    ...SERVER_FIELDS,
    servers: groupList('Several MCP servers, each with the keys above.', SERVER_FIELDS),
    aggregate: AGGREGATE,
    virtual: VIRTUAL,
  },
);
