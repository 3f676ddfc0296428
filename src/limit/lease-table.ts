import type { Charge, LimitMode, LimitName } from '../core/limit.ts';
import type { LimitSpec } from '../core/principal.ts';
import { wholeBurst } from './bucket.ts';
import { LeaseFigures } from './lease-figures.ts';
import { BYTES_PER_LEASE, generationOf, leaseMemory, levelOf, resetLease } from './lease-memory.ts';
import type { LeaseMemory } from './lease-memory.ts';
import { REPORT_EVERY_MS } from './lease-port.ts';
import { aheadLevel, leaseSize, smallLeaseSize, urgentLevel } from './lease-size.ts';

const MODES: readonly LimitMode[] = ['remote', 'local', 'closed', 'open'];
/** A key of so many UTF-16 units travels as it is. */
const MAX_PLAIN_KEY = 170;
/** A quarter of a turn: callers who run low at two times come into one batch in the end, whichever of the two is later. */
const ASKED_LATELY_MS = REPORT_EVERY_MS / 4;
/** Slots looked at to find one that can be evicted. */
const EVICTION_SCAN = 64;

/** Gives the slot up (`close`) so that it can change its owner, or returns false. */
export type LetGo = (slot: number) => boolean;

/**
 * What a worker knows of its keys, by slot. The level is in shared memory (`lease-memory.ts`), and what is looked at with it beside it; the rest is the event
 * loop's. Bounded by its capacity; pages that are never touched take no memory.
 */
export class LeaseTable {
  readonly buffer: SharedArrayBuffer;
  readonly memory: LeaseMemory;
  readonly figures: LeaseFigures;
  /** What the authority believes that this worker holds, as of its last message; never less than the level. */
  readonly told: Int32Array;
  /** What was taken up to then was reported as spent, or was not of the authority's tokens: it cannot be given back. */
  readonly spentMs: Float64Array;
  /** Until when asking for `deniedNeed` tokens or more is in vain. */
  readonly deniedUntilMs: Float64Array;
  readonly deniedNeed: Int32Array;
  /** What the ask under way wanted at least. */
  readonly askedLeast: Int32Array;
  /** Where this worker's own share stood at zero (`local-share.ts`). */
  readonly emptyAtMs: Float64Array;
  readonly refused: Float64Array;
  readonly specs: LimitSpec[] = [];
  readonly keys: string[] = [];
  readonly limits: LimitName[] = [];
  readonly #slots = new Map<string, number>();
  readonly #free: number[] = [];
  readonly #capacity: number;
  readonly #workers: number;
  readonly #hasRecalls: boolean;
  #used = 0;
  #hand = 0;

  /** `hasRecalls`: the authority calls back what others lack, so that there may be leases of small limits. */
  constructor(capacity: number, workers: number, hasRecalls: boolean) {
    if (!Number.isInteger(capacity) || capacity < 1) throw new RangeError('capacity must be a positive integer');
    this.#capacity = capacity;
    this.#workers = workers;
    this.#hasRecalls = hasRecalls;
    this.buffer = new SharedArrayBuffer(capacity * BYTES_PER_LEASE);
    this.memory = leaseMemory(this.buffer);
    this.figures = new LeaseFigures(this.memory);
    this.told = new Int32Array(capacity);
    this.deniedNeed = new Int32Array(capacity);
    this.askedLeast = new Int32Array(capacity);
    this.spentMs = new Float64Array(capacity);
    this.deniedUntilMs = new Float64Array(capacity);
    this.emptyAtMs = new Float64Array(capacity);
    this.refused = new Float64Array(capacity);
  }

  get size(): number {
    return this.#slots.size;
  }

  /** Slots that were ever in use are below this. */
  get used(): number {
    return this.#used;
  }

  find(key: string): number | undefined {
    return this.#slots.get(key);
  }

  /** Where the charge was the last time; −1: there it is no more. */
  noted({ slot = 0, tenure = 0 }: Charge): number {
    return tenure > 0 && this.figures.tenure(slot) === tenure ? slot : -1;
  }

  /** The slot of the charge, with its limit; −1 when there is no room for it. */
  locate(charge: Charge, nowMs: number, letGo: LetGo): number {
    const slot = this.#slots.get(charge.key) ?? this.open(charge, nowMs, letGo);
    if (slot < 0) return -1;
    if (this.specs[slot] !== charge.spec) this.shape(slot, charge.spec);
    charge.slot = slot;
    charge.tenure = this.figures.tenure(slot);
    return slot;
  }

  isInUse(slot: number): boolean {
    return this.keys[slot] !== undefined && this.keys[slot] !== '';
  }

  /** A slot for an unknown key; −1 when there is none and none could be freed. Its own share begins empty. */
  open(charge: Charge, nowMs: number, letGo: LetGo): number {
    const slot = this.#vacantSlot(letGo);
    if (slot < 0) return -1;
    this.#slots.set(charge.key, slot);
    this.keys[slot] = charge.key;
    this.limits[slot] = charge.limit;
    this.told[slot] = this.deniedNeed[slot] = this.refused[slot] = 0;
    this.figures.reset(slot, nowMs);
    this.deniedUntilMs[slot] = 0;
    this.spentMs[slot] = Number.NEGATIVE_INFINITY;
    this.emptyAtMs[slot] = nowMs;
    this.shape(slot, charge.spec);
    return slot;
  }

  /** Takes over a (changed) limit. What is held is kept: the authority knows of it. */
  shape(slot: number, spec: LimitSpec): void {
    this.specs[slot] = spec;
    const size = leaseSize(spec, this.#workers);
    const small = size === 0 && this.#hasRecalls && isRecallable(this.keys[slot] as string) ? smallLeaseSize(spec, this.#workers) : 0;
    const quota = Math.max(size, small);
    const kept = { quota, urgent: urgentLevel(spec, quota), isSmall: small > 0 };
    this.figures.shape(slot, spec.perSecond, wholeBurst(spec), kept);
  }

  /**
   * Whether a batch that leaves now had better ask for more: little is left of the lease, or will be within a turn, if it is spent as since it was asked for last.
   * Not if that was only just: among batches that leave all the time each would bring a few tokens.
   */
  isNeededSoon(slot: number, nowMs: number): boolean {
    const { figures } = this;
    const level = levelOf(this.memory, slot);
    if (figures.isSmall(slot) || level < aheadLevel(figures.quota(slot))) return true;
    const sinceMs = nowMs - (this.spentMs[slot] as number);
    const perMs = ((this.told[slot] as number) - level) / sinceMs;
    return sinceMs >= ASKED_LATELY_MS && level - perMs * REPORT_EVERY_MS < figures.urgent(slot);
  }

  /** Until then the authority gives nothing that no request waits for. */
  deferAhead(slot: number, untilMs: number): void {
    this.deniedUntilMs[slot] = untilMs;
    this.deniedNeed[slot] = this.figures.burst(slot) + 1;
  }

  /** Milliseconds for which takes will be refused without asking; 0: none. */
  deniedForMs(slot: number, nowMs: number): number {
    if ((this.deniedNeed[slot] as number) > this.figures.burst(slot)) return 0;
    return Math.max(0, Math.ceil((this.deniedUntilMs[slot] as number) - nowMs));
  }

  /** The owner of the slot is forgotten; nothing of what it held can be spent any more. */
  close(slot: number): void {
    this.#slots.delete(this.keys[slot] as string);
    this.keys[slot] = '';
    this.figures.setFlags(slot, 0);
    this.figures.endTenure(slot);
    resetLease(this.memory, slot);
    this.#free.push(slot);
  }

  /** Whatever was held or asked for is void. Owners, and what they used of their own share, stay. */
  voidAll(): void {
    for (let slot = 0; slot < this.#used; slot++) {
      resetLease(this.memory, slot);
      this.figures.setFlags(slot, 0);
      this.told[slot] = 0;
      this.deniedUntilMs[slot] = 0;
    }
  }

  /** Lets the arrays shrink again; only while nothing is held. */
  forgetAll(): void {
    this.keys.length = this.specs.length = this.limits.length = this.#free.length = 0;
    this.#used = 0;
  }

  generation(slot: number): number {
    return generationOf(this.memory, slot);
  }

  isOwner(slot: number, generation: number): boolean {
    return slot >= 0 && slot < this.#used && generationOf(this.memory, slot) === generation;
  }

  modeOf(slot: number): LimitMode {
    return MODES[this.figures.mode(slot)] as LimitMode;
  }

  setMode(slot: number, mode: LimitMode): void {
    this.figures.setMode(slot, MODES.indexOf(mode));
  }

  /** Of this worker's tokens and those known to be left, as many as fit into the burst. */
  remaining(slot: number, nowMs: number): number {
    return this.figures.remaining(slot, levelOf(this.memory, slot), nowMs);
  }

  #vacantSlot(letGo: LetGo): number {
    const slot = this.#free.pop();
    if (slot !== undefined) return slot;
    if (this.#used < this.#capacity) return this.#used++;
    for (let visits = Math.min(EVICTION_SCAN, this.#capacity); visits > 0; visits--) {
      const next = this.#hand;
      this.#hand = (next + 1) % this.#capacity;
      if (letGo(next)) return this.#free.pop() as number;
    }
    return -1;
  }
}

/** Whether the key comes back from the authority as it was sent (`lease-batches.ts`): others cannot be called back. */
function isRecallable(key: string): boolean {
  return key.length <= MAX_PLAIN_KEY && key.isWellFormed();
}
