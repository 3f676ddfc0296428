/**
 * What a message says of itself in `params._meta` by the keys of revision 2026-07-28; it is there when the key
 * `protocolVersion` is, which is what makes a message one of that revision. Spans are of the raw values, −1 when absent.
 */
export interface ModernClaim {
  /** Null when it is no string. */
  readonly version: string | null;
  readonly capabilitiesStart: number;
  readonly capabilitiesEnd: number;
  readonly clientInfoStart: number;
  readonly clientInfoEnd: number;
  readonly logLevelStart: number;
  readonly logLevelEnd: number;
}

/**
 * One JSON-RPC message as `mcp/parse.ts` found it: the bytes that were checked, and where in them the parts stand
 * that the gateway decides on or replaces. Nothing is re-interpreted later: what goes upstream is these bytes with
 * the replaced spans, so there is no second reading to differ from the first. Offsets are into `bytes`, end exclusive,
 * −1 when absent. No duplicate keys, no case variants of protocol keys, valid UTF-8, bounded depth.
 */
export interface Envelope {
  readonly kind: 'request' | 'notification' | 'response';
  readonly bytes: Buffer;
  /** Empty for a response. */
  readonly method: string;
  /** The raw JSON token of `id` (a string with its quotes, or an integer). */
  readonly idStart: number;
  readonly idEnd: number;
  readonly paramsStart: number;
  readonly paramsEnd: number;
  /** `params.name` when it is a string. */
  readonly name: string | null;
  /** `params.uri` when it is a string. */
  readonly uri: string | null;
  /** The raw token of `params._meta.progressToken`, when a string or integer. */
  readonly tokenStart: number;
  readonly tokenEnd: number;
  /** The raw token of `params.requestId` (of `notifications/cancelled`). */
  readonly requestIdStart: number;
  readonly requestIdEnd: number;
  /**
   * The whole `task` member of `params` with one comma beside it, to be cut: tasks are not offered, and who does not offer
   * them ignores the field (2025-11-25, basic/utilities/tasks).
   */
  readonly taskStart: number;
  readonly taskEnd: number;
  /** `params.protocolVersion` when it is a string (of `initialize`). */
  readonly protocolVersion: string | null;
  /** `params.taskId` when it is a string. */
  readonly taskId: string | null;
  /** The whole `params._meta` object. */
  readonly metaStart: number;
  readonly metaEnd: number;
  /** The raw value of `params.requestState`, whatever it is (2026-07-28, Multi Round-Trip Requests). */
  readonly stateStart: number;
  readonly stateEnd: number;
  /** Null for a message of a revision with `initialize`. */
  readonly modern: ModernClaim | null;
}
