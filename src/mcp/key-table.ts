import { keyedHash } from './keyed-hash.ts';

/** Up to so many keys of one object are compared one by one; more go through the hash table. */
const LINEAR_KEYS = 16;
const SMALL_ENTRIES = 256;
/** Capacity kept between messages, in entries. */
const KEPT_ENTRIES = 65_536;
const NOT_CHAINED = -1;
const EMPTY = new Uint8Array(0);

function grown(source: Int32Array, size: number): Int32Array<ArrayBuffer> {
  const target = new Int32Array(size);
  target.set(source);
  return target;
}

/**
 * The keys of all objects that are open while a text is scanned, innermost last, to find repeated ones. Objects close
 * in the reverse order of opening, so that entries form a stack, and so do the chains of the hash table (newest first).
 * No allocation per key; time per key does not depend on how many there are, whatever keys an attacker picks.
 */
export class KeyTable {
  /** Entries of open objects. */
  top = 0;
  private text: Uint8Array = EMPTY;
  private arena: Uint8Array = EMPTY;
  private hashes = new Int32Array(SMALL_ENTRIES);
  /** Offset into the text, or ~offset into the arena of unescaped keys. */
  private starts = new Int32Array(SMALL_ENTRIES);
  private ends = new Int32Array(SMALL_ENTRIES);
  /** Next older entry of the same bucket + 1, 0 at the end, −1 when the entry is in no chain. */
  private links = new Int32Array(SMALL_ENTRIES);
  /** Newest entry of each bucket + 1. */
  private heads = new Int32Array(SMALL_ENTRIES);

  /** Starts a text; `arena` is where its escaped keys will be decoded to. */
  begin(text: Uint8Array, arena: Uint8Array): void {
    this.text = text;
    this.arena = arena;
  }

  /** Forgets everything, also after a scan that stopped half way. */
  end(): void {
    if (this.top > 0) this.close(0);
    if (this.hashes.length > KEPT_ENTRIES) this.resize(SMALL_ENTRIES);
    this.begin(EMPTY, EMPTY);
  }

  /** The arena was replaced by a larger one with the same content. */
  useArena(arena: Uint8Array): void {
    this.arena = arena;
  }

  /**
   * Adds a key of the innermost object, whose entries begin at `base`. False when it has that key already. `hash` is a
   * cheap hash of the decoded bytes; `start` is an offset into the text or ~offset into the arena.
   */
  add(base: number, hash: number, start: number, end: number): boolean {
    const count = this.top - base;
    if (count === LINEAR_KEYS) this.chainAll(base);
    if (this.top === this.hashes.length) this.resize(this.top * 2);
    return count < LINEAR_KEYS ? this.addLinear(base, hash, start, end) : this.addChained(base, start, end);
  }

  /** Drops the entries from `base` on: their object is complete. */
  close(base: number): void {
    for (let entry = this.top - 1; entry >= base; entry--) {
      const link = this.links[entry] as number;
      if (link === NOT_CHAINED) continue;
      this.heads[this.bucket(entry)] = link;
    }
    this.top = base;
  }

  private addLinear(base: number, hash: number, start: number, end: number): boolean {
    const hashes = this.hashes;
    for (let entry = base; entry < this.top; entry++) {
      if (hashes[entry] === hash && this.isSame(entry, start, end)) return false;
    }
    this.push(hash, start, end, NOT_CHAINED);
    return true;
  }

  private addChained(base: number, start: number, end: number): boolean {
    const hash = this.strongHash(start, end);
    const bucket = hash & (this.heads.length - 1);
    const head = this.heads[bucket] as number;
    // Chains run from new to old: an entry below `base` and all behind it belong to outer objects.
    for (let link = head; link > base; link = this.links[link - 1] as number) {
      if (this.hashes[link - 1] === hash && this.isSame(link - 1, start, end)) return false;
    }
    this.push(hash, start, end, head);
    this.heads[bucket] = this.top;
    return true;
  }

  private chainAll(base: number): void {
    for (let entry = base; entry < this.top; entry++) {
      this.hashes[entry] = this.strongHash(this.starts[entry] as number, this.ends[entry] as number);
      this.chain(entry);
    }
  }

  private chain(entry: number): void {
    const bucket = this.bucket(entry);
    this.links[entry] = this.heads[bucket] as number;
    this.heads[bucket] = entry + 1;
  }

  private bucket(entry: number): number {
    return (this.hashes[entry] as number) & (this.heads.length - 1);
  }

  private push(hash: number, start: number, end: number, link: number): void {
    const entry = this.top++;
    this.hashes[entry] = hash;
    this.starts[entry] = start;
    this.ends[entry] = end;
    this.links[entry] = link;
  }

  private strongHash(start: number, end: number): number {
    return start >= 0 ? keyedHash(this.text, start, end) : keyedHash(this.arena, ~start, end);
  }

  private isSame(entry: number, start: number, end: number): boolean {
    const otherStart = this.starts[entry] as number;
    const here = start >= 0 ? this.text : this.arena;
    const there = otherStart >= 0 ? this.text : this.arena;
    let p = start >= 0 ? start : ~start;
    let q = otherStart >= 0 ? otherStart : ~otherStart;
    if (end - p !== (this.ends[entry] as number) - q) return false;
    while (p < end) if (here[p++] !== there[q++]) return false;
    return true;
  }

  private resize(size: number): void {
    const isEmpty = this.top === 0;
    this.hashes = isEmpty ? new Int32Array(size) : grown(this.hashes, size);
    this.starts = isEmpty ? new Int32Array(size) : grown(this.starts, size);
    this.ends = isEmpty ? new Int32Array(size) : grown(this.ends, size);
    this.links = isEmpty ? new Int32Array(size) : grown(this.links, size);
    this.heads = new Int32Array(size);
    for (let entry = 0; entry < this.top; entry++) if (this.links[entry] !== NOT_CHAINED) this.chain(entry);
  }
}
