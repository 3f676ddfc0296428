import type { Envelope } from '../core/envelope.ts';
import type { ReplySink } from '../core/upstream.ts';
import { LISTEN } from '../mcp/modern-methods.ts';
import { isTaskMethod, knowsTasks, taskPartOf } from '../mcp/task-messages.ts';
import { PassingSink } from './passing-sink.ts';

/** Of one process; of more the oldest are forgotten. */
const MAX_TASKS = 256;
const FINISHED: ReadonlySet<string | null> = new Set(['completed', 'failed', 'cancelled']);

/** The tasks that a process has begun and not finished, as far as its answers and news have told (2026-07-28, tasks extension). */
export class ChildTasks {
  readonly #unfinished = new Set<string>();

  get isAny(): boolean {
    return this.#unfinished.size > 0;
  }

  /** The process is gone. */
  clear(): void {
    this.#unfinished.clear();
  }

  /** The sink of a request, looked through if anything of a task may come to it. */
  watched(message: Envelope, sink: ReplySink): ReplySink {
    const { method, taskId } = message;
    if (method === LISTEN || (method === 'tools/call' && knowsTasks(message))) return new TaskSink(sink, (bytes) => this.#note(bytes));
    if (!isTaskMethod(method) || taskId === null) return sink;
    return new TaskSink(sink, (bytes, isError) => {
      // It is over for whoever cancels it, and for the server that does not know it.
      if (isError || method === 'tasks/cancel') this.#unfinished.delete(taskId);
      else this.#note(bytes);
    });
  }

  #note(bytes: Buffer): void {
    const { taskId, status } = taskPartOf(bytes);
    if (taskId === null || status === null) return;
    this.#unfinished.delete(taskId.text);
    if (FINISHED.has(status)) return;
    const [oldest] = this.#unfinished;
    if (oldest !== undefined && this.#unfinished.size >= MAX_TASKS) this.#unfinished.delete(oldest);
    this.#unfinished.add(taskId.text);
  }
}

class TaskSink extends PassingSink {
  readonly #onAnswer: (bytes: Buffer, isError: boolean) => void;

  constructor(sink: ReplySink, onAnswer: (bytes: Buffer, isError: boolean) => void) {
    super(sink);
    this.#onAnswer = onAnswer;
  }

  override onMessage(bytes: Buffer): boolean {
    this.#onAnswer(bytes, false);
    return this.sink.onMessage(bytes);
  }

  override onReply(bytes: Buffer, isError: boolean, code: number): void {
    this.#onAnswer(bytes, isError);
    this.sink.onReply(bytes, isError, code);
  }
}
