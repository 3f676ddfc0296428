/** What the id of a task holds under its seal, so that any worker of any host knows whose it is and where. */
export interface TaskRecord {
  /** First 16 bytes of the SHA-256 of the principal's key. */
  readonly owner: Buffer;
  /** The worker that has the task's server as a child or connection of its own; −1: every worker reaches the same one. */
  readonly worker: number;
  /** Of that child or connection (`ModernInfo`), 8 characters; empty without one. */
  readonly life: string;
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
const LIFE_CHARS = 8;
/** Owner, worker, life, length of the server's name, length of the tool's. */
const WORKER_AT = OWNER_BYTES;
const LIFE_AT = WORKER_AT + 2;
const NAME_LENGTH_AT = LIFE_AT + LIFE_CHARS;
const FIXED_BYTES = NAME_LENGTH_AT + 1 + 2;

/** Owner (16), worker (2, big endian), life (8, zeros for none), the lengths of the names of server (1) and tool (2), the names, then the server's id to the end. Null: too long. */
export function encodeTaskRecord({ owner, worker, life, server, tool, taskId }: TaskRecord): Buffer | null {
  const [name, toolName, id] = [Buffer.from(server), Buffer.from(tool), Buffer.from(taskId)];
  if (name.length > 255 || toolName.length > MAX_TOOL_BYTES || id.length > MAX_TASK_ID_BYTES || id.length === 0) return null;
  if (life.length !== LIFE_CHARS && life !== '') return null;
  const head = Buffer.alloc(FIXED_BYTES);
  owner.copy(head, 0);
  head.writeUInt16BE(worker < 0 ? NO_WORKER : worker, WORKER_AT);
  head.write(life, LIFE_AT, 'latin1');
  head[NAME_LENGTH_AT] = name.length;
  head.writeUInt16BE(toolName.length, NAME_LENGTH_AT + 1);
  return Buffer.concat([head, name, toolName, id]);
}

/** Null for anything that `encodeTaskRecord` did not make. */
export function decodeTaskRecord(bytes: Buffer): TaskRecord | null {
  if (bytes.length <= FIXED_BYTES) return null;
  const nameEnd = FIXED_BYTES + (bytes[NAME_LENGTH_AT] ?? 0);
  const toolEnd = nameEnd + bytes.readUInt16BE(NAME_LENGTH_AT + 1);
  if (toolEnd >= bytes.length) return null;
  const worker = bytes.readUInt16BE(WORKER_AT);
  return {
    owner: bytes.subarray(0, OWNER_BYTES),
    worker: worker === NO_WORKER ? -1 : worker,
    life: bytes[LIFE_AT] === 0 ? '' : bytes.toString('latin1', LIFE_AT, NAME_LENGTH_AT),
    server: bytes.toString('utf8', FIXED_BYTES, nameEnd),
    tool: bytes.toString('utf8', nameEnd, toolEnd),
    taskId: bytes.toString('utf8', toolEnd),
  };
}
