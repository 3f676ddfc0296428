import type { Clock } from '../core/clock.ts';
import { paramHeadersOf, type ParamHeader } from '../mcp/param-headers.ts';

const FRESH_MS = 60_000;
const MAX_PAGES = 64;
const MAX_WAITERS = 1024;
const NONE: readonly ParamHeader[] = [];

/** Asks for a page of the server's tools; calls back once, never inside, with the whole answer or null. */
export type AskForTools = (cursor: string | null, done: (reply: Buffer | null) => void) => void;

/**
 * Which arguments of a server's tools calls repeat in headers, as its own lists say; asked for when somebody needs it, kept for a
 * while. Tools without such arguments, which are most, take no place.
 */
export class ToolHeaders {
  readonly #clock: Clock;
  readonly #ask: AskForTools;
  #tools = new Map<string, readonly ParamHeader[]>();
  #waiters: (() => void)[] = [];
  #isAsking = false;
  #knownMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, ask: AskForTools) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /** What is known may be old, but something is: the list was asked for once. */
  get isKnown(): boolean {
    if (this.#clock.nowMs() - this.#knownMs >= FRESH_MS) this.refresh();
    return this.#knownMs !== Number.NEGATIVE_INFINITY;
  }

  /** Of a tool that is not known, or must not be used: none. */
  of(tool: string): readonly ParamHeader[] {
    return this.#tools.get(tool) ?? NONE;
  }

  /** `next` is called once it is known, or could not be found out; false: too many wait. */
  whenKnown(next: () => void): boolean {
    if (this.#waiters.length >= MAX_WAITERS) return false;
    this.#waiters.push(next);
    this.refresh();
    return true;
  }

  refresh(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.#page(null, 0, new Map());
  }

  #page(cursor: string | null, pages: number, tools: Map<string, readonly ParamHeader[]>): void {
    this.#ask(cursor, (reply) => {
      const next = reply === null ? null : readPage(reply, tools);
      if (next !== null && pages + 1 < MAX_PAGES) return this.#page(next, pages + 1, tools);
      this.#done(reply === null ? null : tools);
    });
  }

  /** Null: what was known stays. */
  #done(tools: Map<string, readonly ParamHeader[]> | null): void {
    this.#isAsking = false;
    this.#knownMs = this.#clock.nowMs();
    if (tools !== null) this.#tools = tools;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const next of waiters) next();
  }
}

/** Notes the tools of a page (a whole answer, which has been scanned); returns the cursor of the next one. */
function readPage(reply: Buffer, tools: Map<string, readonly ParamHeader[]>): string | null {
  const { result } = JSON.parse(reply.toString('utf8')) as { readonly result?: unknown };
  if (typeof result !== 'object' || result === null) return null;
  const { tools: listed, nextCursor } = result as { readonly tools?: unknown; readonly nextCursor?: unknown };
  for (const tool of Array.isArray(listed) ? (listed as unknown[]) : []) {
    if (typeof tool !== 'object' || tool === null) continue;
    const { name, inputSchema } = tool as { readonly name?: unknown; readonly inputSchema?: unknown };
    const headers = paramHeadersOf(inputSchema);
    if (typeof name === 'string' && headers !== null && headers.length > 0) tools.set(name, headers);
  }
  return typeof nextCursor === 'string' ? nextCursor : null;
}
