/** What the id of a task holds under its seal, so that any worker of any host knows whose it is and where. */
export interface TaskRecord {
  /** First 16 bytes of the SHA-256 of the principal's key. */
  readonly owner: Buffer;
  /** The worker that has the task's server as a child or connection of its own; −1: every worker reaches the same one. */
  readonly worker: number;
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
const NO_WORKER = 0xffff;
/** Owner, worker, length of the server's name, length of the tool's. */
const FIXED_BYTES = OWNER_BYTES + 2 + 1 + 2;

/** Owner (16), worker (2, big endian), the lengths of the names of server (1) and tool (2), the names, then the server's id to the end. Null: too long. */
export function encodeTaskRecord({ owner, worker, server, tool, taskId }: TaskRecord): Buffer | null {
  const [name, toolName, id] = [Buffer.from(server), Buffer.from(tool), Buffer.from(taskId)];
  if (name.length > 255 || toolName.length > MAX_TOOL_BYTES || id.length > MAX_TASK_ID_BYTES || id.length === 0) return null;
  const head = Buffer.alloc(FIXED_BYTES);
  owner.copy(head, 0);
  head.writeUInt16BE(worker < 0 ? NO_WORKER : worker, OWNER_BYTES);
  head[OWNER_BYTES + 2] = name.length;
  head.writeUInt16BE(toolName.length, OWNER_BYTES + 3);
  return Buffer.concat([head, name, toolName, id]);
}

/** Null for anything that `encodeTaskRecord` did not make. */
export function decodeTaskRecord(bytes: Buffer): TaskRecord | null {
  if (bytes.length <= FIXED_BYTES) return null;
  const nameEnd = FIXED_BYTES + (bytes[OWNER_BYTES + 2] ?? 0);
  const toolEnd = nameEnd + bytes.readUInt16BE(OWNER_BYTES + 3);
  if (toolEnd >= bytes.length) return null;
  const worker = bytes.readUInt16BE(OWNER_BYTES);
  return {
    owner: bytes.subarray(0, OWNER_BYTES),
    worker: worker === NO_WORKER ? -1 : worker,
    server: bytes.toString('utf8', FIXED_BYTES, nameEnd),
    tool: bytes.toString('utf8', nameEnd, toolEnd),
    taskId: bytes.toString('utf8', toolEnd),
  };
}
