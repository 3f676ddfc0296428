import { createHash } from 'node:crypto';
import type { SessionPlace } from '../core/upstream-session.ts';

/** What a session id holds under its seal. */
export interface SessionRecord {
  /** 16 random bytes: the session's name among the workers, and in the audit trail. */
  readonly sid: Buffer;
  /** Wall clock, whole seconds. */
  readonly createdSecs: number;
  /** First 16 bytes of the SHA-256 of the principal's key. */
  readonly owner: Buffer;
  readonly server: string;
  /** What was agreed with the client. */
  readonly revision: string;
  readonly place: SessionPlace;
}

const SID_BYTES = 16;
const OWNER_BYTES = 16;
/** Never reordered: ids that are out there name revisions by their index. */
const REVISIONS: readonly string[] = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25', '2026-07-28'];
const KINDS: readonly SessionPlace['kind'][] = ['http', 'owned'];
/** Kind, sid, time, owner, two revisions, length of the server's name. */
const FIXED_BYTES = 1 + SID_BYTES + 4 + OWNER_BYTES + 2 + 1;

/**
 * The record as bytes: kind (0 `http`, 1 `owned`), sid (16), created (4, big endian), owner (16), the client's and the upstream's
 * revision by index (1 each), length of the server's name (1) and the name, then the place's own bytes to the end.
 */
export function encodeSessionRecord({ sid, createdSecs, owner, server, revision, place }: SessionRecord): Buffer {
  const name = Buffer.from(server);
  const head = Buffer.alloc(FIXED_BYTES);
  head[0] = KINDS.indexOf(place.kind);
  sid.copy(head, 1);
  head.writeUInt32BE(createdSecs, 1 + SID_BYTES);
  owner.copy(head, 5 + SID_BYTES);
  head[FIXED_BYTES - 3] = revisionIndex(revision);
  head[FIXED_BYTES - 2] = revisionIndex(place.revision);
  head[FIXED_BYTES - 1] = name.length;
  if (name.length > 255) throw new RangeError('the name of a server is longer than 255 bytes');
  return Buffer.concat([head, name, place.bytes]);
}

/** Null for anything that `encodeSessionRecord` did not make. */
export function decodeSessionRecord(bytes: Buffer): SessionRecord | null {
  if (bytes.length < FIXED_BYTES) return null;
  const kind = KINDS[bytes[0] ?? -1];
  const revision = REVISIONS[bytes[FIXED_BYTES - 3] ?? -1];
  const upstreamRevision = REVISIONS[bytes[FIXED_BYTES - 2] ?? -1];
  const nameEnd = FIXED_BYTES + (bytes[FIXED_BYTES - 1] ?? 0);
  if (kind === undefined || revision === undefined || upstreamRevision === undefined || nameEnd > bytes.length) return null;
  return {
    sid: bytes.subarray(1, 1 + SID_BYTES),
    createdSecs: bytes.readUInt32BE(1 + SID_BYTES),
    owner: bytes.subarray(5 + SID_BYTES, 5 + SID_BYTES + OWNER_BYTES),
    server: bytes.toString('utf8', FIXED_BYTES, nameEnd),
    revision,
    place: { kind, revision: upstreamRevision, bytes: bytes.subarray(nameEnd) },
  };
}

function revisionIndex(revision: string): number {
  const index = REVISIONS.indexOf(revision);
  if (index < 0) throw new RangeError('a revision that session ids cannot name');
  return index;
}

/** Whose a session is, by a name that says nothing to whoever reads it: the same in every worker. */
export function callerName(principalKey: string): string {
  return createHash('sha256').update(principalKey).digest('base64url').slice(0, 22);
}
