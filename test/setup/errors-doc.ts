import * as catalogue from '../../src/core/errors.ts';
import type { Refusal } from '../../src/core/refusal.ts';

/** What the table cannot say: when each refusal happens, and what helps. One entry per code, checked both ways. */
export const NOTES: Readonly<Record<string, string>> = {
  BAD_TARGET: 'The request target is not a plain absolute path: a dot segment, `//`, `%00`, `%2f`, `%5c`, or a character no URL may hold.',
  BAD_HEADER:
    'A header that must stand alone was repeated, is empty where it may not be, holds forbidden bytes, or shadows one of ours with `_`.',
  BAD_HOST: 'The `Host` header is absent, empty, repeated, or no `name[:port]`.',
  BAD_FRAMING:
    'The length of the body cannot be told for certain: conflicting, malformed or doubled `Content-Length` and `Transfer-Encoding`.',
  UNEXPECTED_BODY: 'A method other than POST declared a body.',
  HOST_DENIED:
    'The name in `Host` is not served. On a loopback address only loopback names are, unless `server.allowed_hosts` says otherwise.',
  ORIGIN_DENIED: 'A browser page of another origin made the request. List the origin in `server.allowed_origins` if that is meant.',
  LENGTH_REQUIRED: 'A POST without `Content-Length`, or a chunked one where the profile refuses them.',
  BODY_TOO_LARGE: 'The body is larger than `server.max_request_size`; declared sizes are refused before anything is read.',
  URI_TOO_LONG: 'Path and query together exceed 8,192 bytes.',
  BAD_CODING: 'Compressed bodies are not accepted.',
  BAD_EXPECTATION: 'An `Expect` other than `100-continue`.',
  HEAD_TOO_LARGE: 'The request head exceeds 16 KiB, or has too many header lines.',
  UNKNOWN_METHOD: 'The HTTP method is none of those that HTTP defines for resources.',
  UNKNOWN_CODING: 'A `Transfer-Encoding` other than `chunked`.',
  REQUEST_TIMEOUT: 'The request did not arrive completely in time.',
  NOT_FOUND: 'No such path, no such server, or an admin path on the main listener while a separate admin listener exists.',
  METHOD_NOT_ALLOWED: 'The path exists; `Allow` lists the methods it takes.',
  DRAINING: 'The gateway is shutting down. Another instance, or the same one after its restart, will serve the request.',
  NOT_READY: '`/ready` says why under `reason`: it starts, it drains, or a required upstream is down.',
  OVERLOADED: 'The gateway cannot take this on now. Try again after `Retry-After`.',
  BAD_UPGRADE:
    'A request for a WebSocket that RFC 6455 does not permit: version 13, one key of 16 bytes, and the subprotocol `mcp` have to be offered.',
  UPGRADE_REQUIRED: 'A GET of `/ws` that asks for no WebSocket.',
  AUTH_MISSING: 'No credential was sent. Credentials in the query string do not count.',
  AUTH_MALFORMED: 'A credential was sent in a form that no configured provider takes.',
  AUTH_INVALID: 'The credential is not known.',
  AUTH_EXPIRED: 'The credential was known and is past its `expires_at`.',
  ADMIN_REQUIRED: 'The caller is known but is no administrator: a role `admin` or one of `server.admin.tokens` is needed.',
  RATE_LIMITED:
    'A bucket is empty: of the caller, its address, the tool or the method; `RateLimit` names it. `Retry-After` says when a token will be there.',
  TOO_MANY_IN_FLIGHT: 'The caller has `rate_limit.max_in_flight` requests in progress.',
  LIMIT_UNAVAILABLE: 'Nobody can be asked whether a limit with `fail_mode = "closed"` is kept. Try again after `Retry-After`.',
  BAD_CONTENT_TYPE: 'The body of a message must be `application/json`; a charset parameter is accepted.',
  NOT_ACCEPTABLE: 'The `Accept` header rules out what the gateway would answer with.',
  EMPTY_BODY: 'A POST without a body.',
  BAD_JSON: 'The body is not valid JSON in valid UTF-8.',
  JSON_TOO_DEEP: 'Nesting beyond `server.max_json_depth`.',
  JSON_TOO_MANY_KEYS: 'More object keys than `server.max_json_keys`.',
  JSON_STRING_TOO_LONG: 'A single string beyond the limit: 1 MiB, 256 KiB in the hardened profile.',
  DUPLICATE_KEY: 'An object has a key twice, or a protocol key in another case: two readers could see two meanings.',
  BAD_MESSAGE: 'JSON, but no JSON-RPC 2.0 message.',
  BATCH_REFUSED:
    'An array of messages outside of a session that agreed on revision 2025-03-26, the only one that has batches; or one that is empty, too long, mixed, or holds an `initialize`.',
  BAD_PARAMS: 'A `tools/call` without a tool name, or other parameters that the decision needs and that are not there.',
  BAD_VERSION: '`MCP-Protocol-Version` names a revision that is not served.',
  CAPABILITY_MISSING:
    'Revision 2026-07-28: a request about a task whose client does not say that it knows tasks; `data.requiredCapabilities` is what is missing.',
  TASK_UNKNOWN:
    'No task of the caller at this server has that id: it is another caller’s, was made up, comes from gateways with other keys, or the process that had it is gone.',
  BAD_CLAIM: "Revision 2026-07-28: `params._meta` lacks the version or the client's capabilities, or one of its keys is malformed.",
  HEADER_MISMATCH:
    'Revision 2026-07-28: a header (`MCP-Protocol-Version`, `Mcp-Method`, `Mcp-Name`) is missing or says another thing than the body.',
  VERSION_UNSUPPORTED: 'The message claims a revision that is not served; `data.supported` names those that are.',
  MODERN_METHOD_UNKNOWN: 'Revision 2026-07-28 does not define the method, or the gateway does not relay it.',
  MODERN_RESPONSE: 'Clients of revision 2026-07-28 answer questions by asking again, and never post a response.',
  MODERN_NOT_SERVED: 'The server behind the path does not speak revision 2026-07-28; the client falls back to `initialize`.',
  SESSION_UNKNOWN:
    'No session of this caller and this server has this id: it was never given out, it ended, or it belongs to somebody else. The client begins anew with `initialize`.',
  EVENT_UNKNOWN: '`Last-Event-ID` is none that this session gave out, or the answer that its stream would bring is not kept any more.',
  STREAM_TAKEN: 'The server sends each stream of a session to one connection, and another one has it still.',
  SESSION_VERSION: '`MCP-Protocol-Version` names another revision than the one that `initialize` agreed on for this session.',
  METHOD_UNKNOWN: 'A JSON-RPC method that the gateway does not relay. Answered in band with HTTP 200.',
  NAME_UNKNOWN:
    'At a virtual server: no chosen tool or prompt has that name, which is the name of its server, the separator and its own. Answered in band with HTTP 200.',
  RESOURCE_UNKNOWN: 'At a virtual server: the URI is not among the chosen resources, or no server has any. Answered in band with HTTP 200.',
  BAD_CURSOR: 'At a virtual server: the cursor of a list is none that this caller was given. Answered in band with HTTP 200.',
  SERVER_DENIED: "The caller's `servers` do not include this one.",
  TOOL_DENIED: 'The tool is denied, or not allowed, for this caller. The audit record names the rule, the answer does not.',
  POLICY_DENIED:
    'The tool is denied, or not allowed, for everybody (`policy.tools`). The audit record names the rule, the answer does not.',
  UPSTREAM_DOWN: 'The MCP server behind the gateway is not connected. `/routes` and the log say why.',
  UPSTREAM_BUSY: "The server's `max_concurrency` is reached and no place came free within `queue_secs`, or its input is backed up.",
  UPSTREAM_OPEN: 'The server failed several times in a row and is left alone (`breaker`). `Retry-After` says until when.',
  UPSTREAM_FAILED: 'The server ended or broke the connection before it answered, or answered with an HTTP error.',
  UPSTREAM_INVALID: "The server's answer is no valid answer to the request.",
  UPSTREAM_TOO_LARGE: "The server's answer exceeds the size allowed.",
  UPSTREAM_TIMEOUT: 'No answer within `timeout_secs` without progress, or within `timeout_max_secs` in all.',
  INTERNAL: 'A fault of the gateway. The log holds it under the `error_id`.',
};

function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && 'rpcCode' in value;
}

/** All refusals of the catalogue, in its order. */
export function refusals(): Refusal[] {
  return Object.values(catalogue)
    .filter(isRefusal)
    .toSorted((left, right) => left.status - right.status || left.code.localeCompare(right.code, 'en'));
}

function row({ code, status, rpcCode, reason, message }: Refusal): string {
  return `| \`${code}\` | ${status} | ${rpcCode} | \`${reason}\` | ${message} | ${NOTES[code] ?? ''} |`;
}

/** `docs/errors.md`. */
export function errorsDoc(): string {
  return `# Errors

Generated from \`src/core/errors.ts\` by \`npm run generate\`; do not edit.

Every refusal is one of these. At an MCP endpoint the client gets the HTTP status and a JSON-RPC error with the code, the
message and \`data.error_id\`; elsewhere \`{"error", "error_id"}\`. A 429, and a 503 that may pass, add \`retry_after\` in seconds and the header
\`Retry-After\`; a 503 also names its reason, as in this table, in \`data.reason\`. The message names the class of failure only. What exactly happened stands in the log and in the audit trail
under the same \`error_id\`, with the reason of this table, which is also the metric label.

Own JSON-RPC codes are −(31000 + HTTP status). Codes that JSON-RPC 2.0 or MCP define keep their meaning. Codes in the first column are never
reused.

Pages that the HTTP parser of the \`uws\` engine writes by itself, before the gateway sees a request (some malformed request
lines), have no such body and no \`error_id\`.

| code | HTTP | JSON-RPC | reason | message | when |
|---|---|---|---|---|---|
${refusals().map(row).join('\n')}
`;
}
