/** What a script answers: Lua tables arrive as lists, numbers as whole numbers. */
export type StoreReply = number | string | null | readonly StoreReply[];

/** A program that the store runs as one atomic step. All keys of one call must carry the same `{tag}`, unless the store `takesAnyKeys`. */
export interface StoreScript {
  readonly name: string;
  readonly lua: string;
}

/**
 * - `ready`: answers are to be expected.
 * - `lost`: there is no connection; runs fail at once and a new connection is being tried.
 * - `closed`: for good.
 */
export type StoreState = 'ready' | 'lost' | 'closed';

/** Message of the error when nothing was done because keys of one run lie on several nodes. */
export const SEVERAL_NODES = 'CROSSSLOT';

/** The store that hosts share. */
export interface Store {
  readonly state: StoreState;
  /** Whether keys are spread over several nodes, which fail one by one. */
  readonly isSpread: boolean;
  /**
   * Whether who answers is known to be one node that has all keys: a proxy in front of several may send a script to the node of its first key, with all
   * others. False while that is not known, and from a run that was refused with `SEVERAL_NODES` to the next connection.
   */
  readonly takesAnyKeys: boolean;
  /**
   * Runs a script. Calls on keys of one tag are executed in the order of their calls, unless the store is being
   * rearranged. Rejects with an Error, which carries no key, argument or credential, when the store refuses, is not
   * connected or does not answer in time; whether the script was executed is unknown then. Nothing is queued for a
   * connection that is not there, and nothing is sent twice but what the store says it has not executed.
   */
  run(script: StoreScript, keys: readonly string[], args: readonly (string | number)[]): Promise<StoreReply>;
  close(): Promise<void>;
}

/** Told on each change of a store's state. */
export type StoreStateListener = (state: StoreState, reason: string) => void;
