import type { Refusal } from './refusal.ts';

/**
 * The error catalogue. Own JSON-RPC codes are −(31000 + HTTP status); codes that JSON-RPC 2.0 or MCP define stay
 * theirs. `docs/errors.md` is generated from this table and the notes in
 * `test/setup/errors-doc.ts`, one for each code.
 */
function refusal(code: string, status: number, reason: string, message: string, rpcCode: number = -(31000 + status)): Refusal {
  return Object.freeze({ code, status, rpcCode, reason, message });
}

export const PARSE_ERROR: number = -32700;
export const INVALID_REQUEST: number = -32600;
export const METHOD_NOT_FOUND: number = -32601;
export const INVALID_PARAMS: number = -32602;
/** Of the revisions before 2026-07-28. */
export const RESOURCE_NOT_FOUND: number = -32002;

// Framing: refused by the head guard, before anyone is authenticated. All of these close the connection.
export const BAD_TARGET: Refusal = refusal('BAD_TARGET', 400, 'bad_target', 'Malformed request target');
export const BAD_HEADER: Refusal = refusal('BAD_HEADER', 400, 'bad_header', 'Malformed or repeated header');
export const BAD_HOST: Refusal = refusal('BAD_HOST', 400, 'bad_host', 'Malformed Host header');
export const BAD_FRAMING: Refusal = refusal('BAD_FRAMING', 400, 'bad_framing', 'Malformed message framing');
export const UNEXPECTED_BODY: Refusal = refusal('UNEXPECTED_BODY', 400, 'unexpected_body', 'This method takes no body');
export const HOST_DENIED: Refusal = refusal('HOST_DENIED', 403, 'host_denied', 'Host not allowed');
export const ORIGIN_DENIED: Refusal = refusal('ORIGIN_DENIED', 403, 'origin_denied', 'Origin not allowed');
export const LENGTH_REQUIRED: Refusal = refusal('LENGTH_REQUIRED', 411, 'length_required', 'Content-Length required');
export const BODY_TOO_LARGE: Refusal = refusal('BODY_TOO_LARGE', 413, 'body_too_large', 'Request body too large');
export const URI_TOO_LONG: Refusal = refusal('URI_TOO_LONG', 414, 'uri_too_long', 'Request target too long');
export const BAD_CODING: Refusal = refusal('BAD_CODING', 415, 'content_coding', 'Content-Encoding not supported');
export const BAD_EXPECTATION: Refusal = refusal('BAD_EXPECTATION', 417, 'expectation', 'Expectation not supported');
export const HEAD_TOO_LARGE: Refusal = refusal('HEAD_TOO_LARGE', 431, 'head_too_large', 'Request head too large');
export const UNKNOWN_METHOD: Refusal = refusal('UNKNOWN_METHOD', 501, 'unknown_method', 'Method not implemented');
export const UNKNOWN_CODING: Refusal = refusal('UNKNOWN_CODING', 501, 'transfer_coding', 'Transfer-Encoding not supported');
export const REQUEST_TIMEOUT: Refusal = refusal('REQUEST_TIMEOUT', 408, 'request_timeout', 'Request not received in time');

// Surface
export const NOT_FOUND: Refusal = refusal('NOT_FOUND', 404, 'not_found', 'Not found');
export const METHOD_NOT_ALLOWED: Refusal = refusal('METHOD_NOT_ALLOWED', 405, 'method_not_allowed', 'Method not allowed');
export const DRAINING: Refusal = refusal('DRAINING', 503, 'draining', 'Shutting down');
/** Of `/ready` only, whose answer has a form of its own. */
export const NOT_READY: Refusal = refusal('NOT_READY', 503, 'not_ready', 'Not ready');
export const OVERLOADED: Refusal = refusal('OVERLOADED', 503, 'overloaded', 'Too many requests in progress');

export const BAD_UPGRADE: Refusal = refusal('BAD_UPGRADE', 400, 'bad_upgrade', 'Malformed WebSocket handshake');
export const UPGRADE_REQUIRED: Refusal = refusal('UPGRADE_REQUIRED', 426, 'upgrade_required', 'WebSocket required');

// Who
export const AUTH_MISSING: Refusal = refusal('AUTH_MISSING', 401, 'missing_credential', 'Authentication required');
export const AUTH_MALFORMED: Refusal = refusal('AUTH_MALFORMED', 401, 'malformed_credential', 'Authentication required');
export const AUTH_INVALID: Refusal = refusal('AUTH_INVALID', 401, 'invalid_credential', 'Invalid credential');
export const AUTH_EXPIRED: Refusal = refusal('AUTH_EXPIRED', 401, 'expired_credential', 'Invalid credential');
export const ADMIN_REQUIRED: Refusal = refusal('ADMIN_REQUIRED', 403, 'admin_required', 'Administrator credential required');

// How much
export const RATE_LIMITED: Refusal = refusal('RATE_LIMITED', 429, 'rate_limited', 'Rate limit exceeded');
export const TOO_MANY_IN_FLIGHT: Refusal = refusal('TOO_MANY_IN_FLIGHT', 429, 'too_many_in_flight', 'Rate limit exceeded');
export const LIMIT_UNAVAILABLE: Refusal = refusal('LIMIT_UNAVAILABLE', 503, 'limit_unavailable', 'Limits unavailable');

// What is said
export const BAD_CONTENT_TYPE: Refusal = refusal('BAD_CONTENT_TYPE', 415, 'content_type', 'Content-Type must be application/json');
export const NOT_ACCEPTABLE: Refusal = refusal(
  'NOT_ACCEPTABLE',
  406,
  'not_acceptable',
  'Accept must allow application/json and text/event-stream',
);
export const EMPTY_BODY: Refusal = refusal('EMPTY_BODY', 400, 'empty_body', 'Parse error', PARSE_ERROR);
export const BAD_JSON: Refusal = refusal('BAD_JSON', 400, 'bad_json', 'Parse error', PARSE_ERROR);
export const JSON_TOO_DEEP: Refusal = refusal('JSON_TOO_DEEP', 400, 'json_too_deep', 'Invalid Request', INVALID_REQUEST);
export const JSON_TOO_MANY_KEYS: Refusal = refusal('JSON_TOO_MANY_KEYS', 400, 'json_too_many_keys', 'Invalid Request', INVALID_REQUEST);
export const JSON_STRING_TOO_LONG: Refusal = refusal(
  'JSON_STRING_TOO_LONG',
  400,
  'json_string_too_long',
  'Invalid Request',
  INVALID_REQUEST,
);
export const DUPLICATE_KEY: Refusal = refusal('DUPLICATE_KEY', 400, 'duplicate_key', 'Invalid Request', INVALID_REQUEST);
export const BAD_MESSAGE: Refusal = refusal('BAD_MESSAGE', 400, 'bad_message', 'Invalid Request', INVALID_REQUEST);
export const BATCH_REFUSED: Refusal = refusal('BATCH_REFUSED', 400, 'batch', 'Invalid Request', INVALID_REQUEST);
export const BAD_PARAMS: Refusal = refusal('BAD_PARAMS', 400, 'bad_params', 'Invalid params', INVALID_PARAMS);
export const BAD_VERSION: Refusal = refusal('BAD_VERSION', 400, 'protocol_version', 'Unsupported protocol version');

// Revision 2026-07-28: its own codes are −32020 … −32099.
export const BAD_CLAIM: Refusal = refusal('BAD_CLAIM', 400, 'bad_claim', 'Invalid params', INVALID_PARAMS);
export const HEADER_MISMATCH: Refusal = refusal('HEADER_MISMATCH', 400, 'header_mismatch', 'Header mismatch', -32020);
export const VERSION_UNSUPPORTED: Refusal = refusal(
  'VERSION_UNSUPPORTED',
  400,
  'version_unsupported',
  'Unsupported protocol version',
  -32022,
);
export const CAPABILITY_MISSING: Refusal = refusal(
  'CAPABILITY_MISSING',
  400,
  'capability_missing',
  'Missing required client capability',
  -32021,
);
export const MODERN_METHOD_UNKNOWN: Refusal = refusal(
  'MODERN_METHOD_UNKNOWN',
  404,
  'modern_method_not_found',
  'Method not found',
  METHOD_NOT_FOUND,
);
export const MODERN_RESPONSE: Refusal = refusal('MODERN_RESPONSE', 400, 'modern_response', 'Invalid Request', INVALID_REQUEST);
export const MODERN_NOT_SERVED: Refusal = refusal('MODERN_NOT_SERVED', 400, 'modern_not_served', 'Method not found', METHOD_NOT_FOUND);
/** A method that the gateway does not relay, answered in band: HTTP 200 with the JSON-RPC error. */
export const METHOD_UNKNOWN: Refusal = refusal('METHOD_UNKNOWN', 200, 'method_not_found', 'Method not found', METHOD_NOT_FOUND);
/** At a virtual server, in band as a server would: no member's tool or prompt has that name. */
export const NAME_UNKNOWN: Refusal = refusal('NAME_UNKNOWN', 200, 'name_unknown', 'Unknown name', INVALID_PARAMS);
/** In band as a server would (2026-07-28, tasks extension, Protocol Errors): the caller has no task of that id. */
export const TASK_UNKNOWN: Refusal = refusal('TASK_UNKNOWN', 200, 'task_unknown', 'Unknown task', INVALID_PARAMS);
/** At a virtual server, in band: none of its resources has that URI (2025-11-25, server/resources, Error Handling). */
export const RESOURCE_UNKNOWN: Refusal = refusal('RESOURCE_UNKNOWN', 200, 'resource_unknown', 'Resource not found', RESOURCE_NOT_FOUND);
/** At a virtual server, in band: a cursor that it did not give out. */
export const BAD_CURSOR: Refusal = refusal('BAD_CURSOR', 200, 'bad_cursor', 'Invalid cursor', INVALID_PARAMS);

export const SESSION_UNKNOWN: Refusal = refusal('SESSION_UNKNOWN', 404, 'session_unknown', 'Session not found');
export const EVENT_UNKNOWN: Refusal = refusal('EVENT_UNKNOWN', 404, 'event_unknown', 'Event not found');
export const STREAM_TAKEN: Refusal = refusal('STREAM_TAKEN', 409, 'stream_taken', 'The stream is open elsewhere');
export const SESSION_VERSION: Refusal = refusal('SESSION_VERSION', 400, 'session_version', 'Unsupported protocol version');

// May they
export const SERVER_DENIED: Refusal = refusal('SERVER_DENIED', 403, 'server_denied', 'Not authorized');
export const TOOL_DENIED: Refusal = refusal('TOOL_DENIED', 403, 'tool_denied', 'Not authorized');
export const POLICY_DENIED: Refusal = refusal('POLICY_DENIED', 403, 'policy_denied', 'Not authorized');

// Where to
export const UPSTREAM_DOWN: Refusal = refusal('UPSTREAM_DOWN', 503, 'upstream_unavailable', 'Upstream unavailable');
export const UPSTREAM_BUSY: Refusal = refusal('UPSTREAM_BUSY', 503, 'upstream_busy', 'Upstream busy');
export const UPSTREAM_OPEN: Refusal = refusal('UPSTREAM_OPEN', 503, 'upstream_circuit_open', 'Upstream unavailable');
export const UPSTREAM_FAILED: Refusal = refusal('UPSTREAM_FAILED', 502, 'upstream_error', 'Upstream error');
export const UPSTREAM_INVALID: Refusal = refusal('UPSTREAM_INVALID', 502, 'upstream_invalid', 'Upstream error');
export const UPSTREAM_TOO_LARGE: Refusal = refusal('UPSTREAM_TOO_LARGE', 502, 'upstream_too_large', 'Upstream error');
export const UPSTREAM_TIMEOUT: Refusal = refusal('UPSTREAM_TIMEOUT', 504, 'upstream_timeout', 'Upstream timeout');

export const INTERNAL: Refusal = refusal('INTERNAL', 500, 'internal', 'Internal error', -32603);
