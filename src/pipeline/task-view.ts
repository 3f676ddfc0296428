import type { RequestContext } from '../core/context.ts';
import { taskPartOf, withTaskId } from '../mcp/task-messages.ts';
import type { NamedTask, TaskBook } from './tasks.ts';

/** What a client sees of tasks in the answer to one request: its own names for them, and none of the server's. */
export interface TaskView {
  /** Null: the server answered with what cannot be. */
  reply(bytes: Buffer): Buffer | null;
}

const ANYWHERE = Buffer.alloc(0);

/** Of a call whose client knows tasks: it may become one. */
export class BegunTask implements TaskView {
  readonly #tasks: TaskBook;
  readonly #context: RequestContext;
  #place: Buffer = ANYWHERE;

  constructor(tasks: TaskBook, context: RequestContext) {
    this.#tasks = tasks;
    this.#context = context;
  }

  /** Where the call was sent, if its task is only there. */
  onPlace(place: Buffer): void {
    this.#place = place;
  }

  reply(bytes: Buffer): Buffer | null {
    const { resultType, taskId } = taskPartOf(bytes);
    if (resultType !== 'task') return bytes;
    const { server, tool, budgetKey } = this.#context;
    const name = taskId === null ? null : this.#tasks.mint(budgetKey, { server, tool, place: this.#place }, taskId.text);
    return taskId === null || name === null ? null : withTaskId(bytes, taskId, name);
  }
}

/** Of a request about one task: what is answered is about that one. */
export function viewOfTask({ taskId: own, name }: NamedTask): TaskView {
  return {
    reply: (bytes) => {
      const { taskId } = taskPartOf(bytes);
      if (taskId === null) return bytes;
      return taskId.text === own ? withTaskId(bytes, taskId, name) : null;
    },
  };
}
