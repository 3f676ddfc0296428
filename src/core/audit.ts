import type { LimitName } from './limit.ts';
import type { PrincipalNotes } from './principal.ts';

/** The closed set of audit event types; `docs/audit.md` describes each. */
export const AUDIT_EVENTS = [
  'auth_success',
  'auth_failure',
  'authz_denied',
  'policy_denied',
  'rate_limited',
  'tool_call',
  'tool_response',
  'session_open',
  'session_close',
  'request',
  'request_refused',
  'upstream_error',
  'admin_action',
] as const;

export type AuditEventType = (typeof AUDIT_EVENTS)[number];

/**
 * One audit record before serialisation; absent and undefined fields are left out of the line. `timestamp`, `seq` and `worker` are
 * added by the writer. Never a credential: `identity` is the configured id.
 */
export interface AuditRecord {
  readonly event_type: AuditEventType;
  readonly request_id?: string | undefined;
  /** Not written: the request's id is a UUID that the gateway made, in which nothing has to be looked for. */
  readonly isIdMinted?: boolean;
  readonly identity?: string | undefined;
  /** Not written: where what `identity` comes to is kept. */
  readonly notes?: PrincipalNotes | undefined;
  readonly provider?: string | undefined;
  readonly client_ip?: string | undefined;
  /** Public name of the client's session; never the id that opens it. */
  readonly session?: string | undefined;
  readonly server?: string | undefined;
  readonly method?: string | undefined;
  readonly tool?: string | undefined;
  readonly resource?: string | undefined;
  readonly decision?: 'allow' | 'deny' | undefined;
  readonly reason?: string | undefined;
  /** The limit that refused it. */
  readonly limit?: LimitName | undefined;
  /** When a limit last let it pass or refused it: milliseconds of the machine's monotonic clock, the same in all its processes. */
  readonly decided_ms?: number | undefined;
  readonly detail?: string | undefined;
  readonly status?: number | undefined;
  readonly duration_ms?: number | undefined;
  readonly error_id?: string | undefined;
  readonly policy_version?: string | undefined;
}

/** Takes audit records. Never throws, never blocks; what does not fit its bounded queue is counted as dropped. */
export interface AuditSink {
  write(record: AuditRecord): void;
}

/** Figures of one output of the trail. */
export interface AuditOutputStats {
  readonly output: 'file' | 'stdout';
  readonly writtenLines: number;
  readonly droppedLines: number;
  readonly writeErrors: number;
  readonly queuedBytes: number;
}

/** Figures of the trail as the primary keeps it. */
export interface AuditStats {
  /** Lines handed over by workers. */
  readonly records: number;
  /** Records that workers had to drop before they could hand them over. */
  readonly workerDrops: number;
  readonly rotations: number;
  readonly outputs: readonly AuditOutputStats[];
}
