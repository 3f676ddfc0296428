/** What the id of a task holds under its seal, so that any worker of any host knows whose it is and where. */
export interface TaskRecord {
  /** First 16 bytes of the SHA-256 of the principal's key. */
  readonly owner: Buffer;
  /** The process or connection that has the task (`ModernOptions`); empty: every worker reaches the same server. */
  readonly place: Buffer;
  readonly server: string;
  /** The tool that was called: who may not call it any more may not have its result either. */
  readonly tool: string;
  /** The server's own id. */
  readonly taskId: string;
}

export const OWNER_BYTES: number = 16;
/** Longer ones are no ids that a server would need; sealed they have to fit a header. */
export const MAX_TASK_ID_BYTES: number = 1024;
const MAX_TOOL_BYTES = 1024;
const MAX_PLACE_BYTES = 512;
/** Owner, then the lengths of the place, of the server's name and of the tool's. */
const PLACE_LENGTH_AT = OWNER_BYTES;
const NAME_LENGTH_AT = PLACE_LENGTH_AT + 2;
const TOOL_LENGTH_AT = NAME_LENGTH_AT + 1;
const FIXED_BYTES = TOOL_LENGTH_AT + 2;

/**
 * Owner (16), the lengths of the place (2, big endian) and of the names of server (1) and tool (2), these three, then the server's id to the end.
 * Null: too long.
 */
export function encodeTaskRecord({ owner, place, server, tool, taskId }: TaskRecord): Buffer | null {
  const [name, toolName, id] = [Buffer.from(server), Buffer.from(tool), Buffer.from(taskId)];
  if (name.length > 255 || toolName.length > MAX_TOOL_BYTES || id.length > MAX_TASK_ID_BYTES || id.length === 0) return null;
  if (place.length > MAX_PLACE_BYTES) return null;
  const head = Buffer.alloc(FIXED_BYTES);
  owner.copy(head, 0);
  head.writeUInt16BE(place.length, PLACE_LENGTH_AT);
  head[NAME_LENGTH_AT] = name.length;
  head.writeUInt16BE(toolName.length, TOOL_LENGTH_AT);
  return Buffer.concat([head, place, name, toolName, id]);
}

/** Null for anything that `encodeTaskRecord` did not make. */
export function decodeTaskRecord(bytes: Buffer): TaskRecord | null {
  if (bytes.length <= FIXED_BYTES) return null;
  const placeEnd = FIXED_BYTES + bytes.readUInt16BE(PLACE_LENGTH_AT);
  const nameEnd = placeEnd + (bytes[NAME_LENGTH_AT] ?? 0);
  const toolEnd = nameEnd + bytes.readUInt16BE(TOOL_LENGTH_AT);
  if (toolEnd >= bytes.length) return null;
  return {
    owner: bytes.subarray(0, OWNER_BYTES),
    place: bytes.subarray(FIXED_BYTES, placeEnd),
    server: bytes.toString('utf8', placeEnd, nameEnd),
    tool: bytes.toString('utf8', nameEnd, toolEnd),
    taskId: bytes.toString('utf8', toolEnd),
  };
}
