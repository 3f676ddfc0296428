import { setFlagsFromString } from 'node:v8';

/**
 * V8 puts objects of a kind that often survives straight into the old generation. On a request path that is wrong: once a request's
 * context is there, all it refers to is kept until the next full collection, so that still more seems to survive. Without this
 * a worker promotes every request: 50 MB a second, and a full collection every 0.8 s (measured, `docs/performance.md`).
 */
const NO_PRETENURING = '--no-allocation-site-pretenuring';

/** Requests live for milliseconds, so a small young generation holds what is alive as well as a large one. */
const SMALL_YOUNG_GENERATION = '--max-semi-space-size=2';

/**
 * The heap may double before a full collection. What lives in a worker is small, so that V8 would collect it for every few megabytes:
 * more than once a second under load, each time with 15 ms of work in the event loop, and with the pages that were freed kept in reserve.
 */
const FEWER_FULL_COLLECTIONS = '--heap-growing-percent=100';

/**
 * A worker per processor collects with its own thread alone. Helpers would be on the processors of the other workers: they make a collection of a
 * young generation of 2 MB no shorter, but whoever is beside them late (measured, `docs/decisions/0013-runtime-of-a-worker.md`).
 */
const OWN_THREAD_ONLY = '--single-threaded-gc';

/**
 * Private fields are set by key as the members of a dictionary are, and an object that gets sixteen or more for which its class left no room becomes
 * one: ten times as slow to make, and slow in every use, for as long as the process lives. How much room a class leaves V8 learns from the first seven
 * objects, and forgets it when a full collection finds none of them before the seventh is made (`docs/decisions/0043-fields-stay-fields.md`).
 */
const FIELDS_STAY_FIELDS = '--fast-properties-soft-limit=64';

/**
 * Eight seconds after a gateway has become idle V8 collects everything, twice, to give memory back. With that goes compiled code whose objects have no
 * instance alive, which is nearly all of the request path: the next requests run several times as long, and 70 functions are compiled again beside
 * them. After ten minutes that is no price any more (`docs/decisions/0044-code-outlives-a-pause.md`).
 */
const REDUCE_WHEN_LONG_IDLE = '--gc-memory-reducer-start-delay-ms=600000';

/**
 * A request's way is some dozens of functions, each called from one place. V8 puts none of more than 460 bytes of bytecode into its caller, and no more than 920
 * in all: which are left out depends on which became hot first, and each is a call and code of its own on every request. With twice the room a request takes 5 %
 * less of a worker's loop; more than that costs memory (`docs/decisions/0045-room-for-inlining.md`).
 */
const ROOM_FOR_INLINING: readonly string[] = ['--max-inlined-bytecode-size=1000', '--max-inlined-bytecode-size-cumulative=1500'];

/**
 * Options of a worker's Node, behind those the primary was started with.
 * @param areProcessorsTaken there are as many workers as processors, or more: none is left over for helpers
 */
export function workerFlags(own: readonly string[], areProcessorsTaken: boolean): string[] {
  const memory = [NO_PRETENURING, SMALL_YOUNG_GENERATION, FEWER_FULL_COLLECTIONS, REDUCE_WHEN_LONG_IDLE];
  const flags = [...own, ...memory, FIELDS_STAY_FIELDS, ...ROOM_FOR_INLINING];
  return areProcessorsTaken ? [...flags, OWN_THREAD_ONLY] : flags;
}

/**
 * Settings of the C library for a worker: one arena, and memory that is free goes back to the system. With an arena for each of its
 * ten threads it keeps about 15 MB that nobody uses. Only what the operator did not set.
 */
export function workerEnv(own: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const wanted = { MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '131072' };
  return Object.fromEntries(Object.entries(wanted).filter(([name]) => own[name] === undefined));
}

/**
 * For the primary, before it fills its heap. Its young generation would grow to 16 MB while it starts; V8 begins a full collection
 * when the room that is left in the old one is no larger than that, which it then never is: one every 1.5 s under load, with 50 ms of two
 * processors that the workers want (measured, `docs/decisions/0013-runtime-of-a-worker.md`).
 */
export function tunePrimary(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString(FEWER_FULL_COLLECTIONS);
  setFlagsFromString(FIELDS_STAY_FIELDS);
  setFlagsFromString(REDUCE_WHEN_LONG_IDLE);
}

/** For a worker inside the primary: what can still be set in a running process. */
export function tuneOwnProcess(): void {
  setFlagsFromString('--semi-space-growth-factor=2');
  setFlagsFromString(NO_PRETENURING);
  setFlagsFromString(FEWER_FULL_COLLECTIONS);
  for (const flag of ROOM_FOR_INLINING) setFlagsFromString(flag);
}
