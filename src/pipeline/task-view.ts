import { ACKNOWLEDGED } from '../mcp/listen-filter.ts';
import { acknowledgedFor, TASK_STATUS, taskPartOf, withTaskId } from '../mcp/task-messages.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import type { NamedTask, TaskBook, TaskPlace } from './tasks.ts';

/** Nesting that a server's message may have. */
const MAX_DEPTH = 512;

/** What a client sees of tasks in the answer to one request: its own names for them, and none of the server's. */
export interface TaskView {
  /** Null: the server answered with what cannot be. */
  reply(bytes: Buffer): Buffer | null;
  /** Null: nothing for the client. */
  notification(bytes: Buffer): Buffer | null;
}

/** Of a call whose client knows tasks: it may become one. `place`: where, asked for only then. */
export function viewOfCall(tasks: TaskBook, principalKey: string, place: () => TaskPlace): TaskView {
  return {
    reply: (bytes) => {
      const { resultType, taskId } = taskPartOf(bytes);
      if (resultType !== 'task') return bytes;
      const name = taskId === null ? null : tasks.mint(principalKey, place(), taskId.text);
      return taskId === null || name === null ? null : withTaskId(bytes, taskId, name);
    },
    notification: (bytes) => bytes,
  };
}

/** Of a request about one task: what is answered is about that one. */
export function viewOfTask({ taskId: own, name }: NamedTask): TaskView {
  return {
    reply: (bytes) => {
      const { taskId } = taskPartOf(bytes);
      if (taskId === null) return bytes;
      return taskId.text === own ? withTaskId(bytes, taskId, name) : null;
    },
    notification: (bytes) => bytes,
  };
}

/** Of a subscription: of no other tasks than those that it asked for. `names`: the client's, by the server's. */
export function viewOfListening(names: ReadonlyMap<string, string>): TaskView {
  return {
    reply: (bytes) => bytes,
    notification: (bytes) => {
      const method = scanUpstreamMessage(bytes, { maxDepth: MAX_DEPTH })?.method;
      if (method === ACKNOWLEDGED) return acknowledgedFor(bytes, names);
      if (method !== TASK_STATUS) return bytes;
      const { taskId } = taskPartOf(bytes);
      const name = taskId === null ? undefined : names.get(taskId.text);
      return taskId === null || name === undefined ? null : withTaskId(bytes, taskId, name);
    },
  };
}
