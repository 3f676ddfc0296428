/**
 * Tokens that a worker holds, in memory that its event loop and its sync thread share: one int32 of each slot. The others of a slot are the event
 * loop's (`lease-figures.ts`), and lie beside it because each take looks at them.
 *
 * | bits  | part       | changed by                                                                |
 * |-------|------------|---------------------------------------------------------------------------|
 * | 0–19  | level      | whole tokens: taken by the event loop, granted by the sync thread         |
 * | 20–31 | generation | event loop: another one for each owner of the slot                        |
 *
 * Both are in one word, so that a grant and the check whose it is are one atomic step.
 */
export type LeaseMemory = Int32Array;

/** Most tokens a slot can hold; what is granted beyond is lost. */
export const MAX_LEVEL: number = 2 ** 20 - 1;
const GENERATION_SHIFT = 20;

/** Of a slot: one line of a processor's cache. */
export const BYTES_PER_LEASE: number = 64;
export const WORDS_PER_LEASE: number = BYTES_PER_LEASE / 4;
/** Where it stands among the words of a slot. */
const LEVEL_WORD = 12;

export function leaseMemory(buffer: SharedArrayBuffer): LeaseMemory {
  return new Int32Array(buffer);
}

function wordOf(slot: number): number {
  return slot * WORDS_PER_LEASE + LEVEL_WORD;
}

/** Whole tokens that may be taken now. */
export function levelOf(memory: LeaseMemory, slot: number): number {
  return Atomics.load(memory, wordOf(slot)) & MAX_LEVEL;
}

/** 0 … 4,095. */
export function generationOf(memory: LeaseMemory, slot: number): number {
  return Atomics.load(memory, wordOf(slot)) >>> GENERATION_SHIFT;
}

/** Event loop only: takes `tokens` if they are there. Returns what was left, at least, or −1: nothing was taken. */
export function takeLease(memory: LeaseMemory, slot: number, tokens: number): number {
  const word = wordOf(slot);
  const level = Atomics.load(memory, word) & MAX_LEVEL;
  // Another thread can only have added meanwhile.
  if (level < tokens) return -1;
  Atomics.sub(memory, word, tokens);
  return level - tokens;
}

/** Sync thread: adds a grant, unless the slot has another owner by now. Returns what was added. */
export function applyGrant(memory: LeaseMemory, slot: number, generation: number, granted: number): number {
  if (!(granted > 0) || slot < 0 || slot >= memory.length / WORDS_PER_LEASE) return 0;
  const word = wordOf(slot);
  for (;;) {
    const seen = Atomics.load(memory, word);
    if (seen >>> GENERATION_SHIFT !== generation) return 0;
    const added = Math.min(Math.floor(granted), MAX_LEVEL - (seen & MAX_LEVEL));
    if (Atomics.compareExchange(memory, word, seen, seen + added) === seen) return added;
  }
}

/** Event loop only: empties the slot for another owner. Returns the tokens it held. */
export function resetLease(memory: LeaseMemory, slot: number): number {
  const word = wordOf(slot);
  for (;;) {
    const seen = Atomics.load(memory, word);
    const next = ((seen >>> GENERATION_SHIFT) + 1) << GENERATION_SHIFT;
    if (Atomics.compareExchange(memory, word, seen, next) === seen) return seen & MAX_LEVEL;
  }
}
