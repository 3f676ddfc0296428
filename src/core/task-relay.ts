/** A request about a task, on its way to the worker whose child or connection has the task. That worker decides nothing: it was decided. */
export interface TaskOrder {
  readonly server: string;
  readonly restPath: string;
  readonly principalKey: string;
  /** Of the child or connection that has the task (`ModernInfo`). */
  readonly life: string;
  /** A whole request of revision 2026-07-28, as it was checked. */
  readonly bytes: Uint8Array;
}

/** What came of it. `refusal`: its code in the error catalogue. */
export type TaskAnswer =
  | { readonly bytes: Uint8Array; readonly isError: boolean; readonly code: number }
  | { readonly refusal: string; readonly detail: string };

/** The way to the other workers of this gateway. */
export interface TaskRelay {
  /** `done` is called once, never inside; null: that worker is not there, or does not answer. */
  ask(worker: number, order: TaskOrder, done: (answer: TaskAnswer | null) => void): void;
}
