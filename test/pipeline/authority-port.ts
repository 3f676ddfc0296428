import type { LimitAuthority } from '../../src/core/limit.ts';
import { applyGrant, leaseMemory } from '../../src/limit/lease-memory.ts';
import type { LeaseBatch, LeaseClient, LeasePort, SlotAnswer } from '../../src/limit/lease-port.ts';

/** The way to a real authority in the same process, as the threads and sockets in between keep it; its answers can be held up. */
export class AuthorityPort implements LeasePort {
  readonly stats: { readonly disconnects: number; readonly restarts: number } = { disconnects: 0, restarts: 0 };
  /** Null: answered in the next turn. Else answers are kept here until `release`. */
  held: (() => void)[] | null = null;
  /** Nobody answers. */
  isCut = false;
  readonly #authority: LimitAuthority;
  #client: LeaseClient | null = null;

  constructor(authority: LimitAuthority) {
    this.#authority = authority;
  }

  attach(client: LeaseClient): void {
    this.#client = client;
  }

  afterTurn(flush: () => void): void {
    setImmediate(flush);
  }

  send(batch: LeaseBatch): void {
    if (this.isCut) return;
    const answer = (): void => this.#answer(batch);
    // What keeps the connection alive is not held up.
    if (this.held === null || batch.asks.length === 0) setImmediate(answer);
    else this.held.push(answer);
  }

  /** Answers what is held, and everything from now on. */
  release(): void {
    const held = this.held ?? [];
    this.held = null;
    for (const answer of held) answer();
  }

  #answer({ stamp, sentMs, isReset, returns, asks }: LeaseBatch): void {
    const authority = this.#authority;
    const client = this.#client as LeaseClient;
    if (isReset) authority.lost(0);
    authority.heard(0, stamp);
    for (const { key, tokens, have } of returns) authority.giveBack(0, key, tokens, have);
    const answers: SlotAnswer[] = [];
    for (const { slot, generation, ...ask } of asks) {
      authority.ask(0, ask, (answer) => {
        applyGrant(leaseMemory(client.buffer), slot, generation, answer.granted);
        answers.push({ slot, generation, ...answer });
      });
    }
    client.answered({ stamp: authority.stampFor(0), sentMs, answers });
  }
}
