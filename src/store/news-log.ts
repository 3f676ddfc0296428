import type { Store, StoreReply, StoreScript } from '../core/store.ts';

/** Entries that are kept, of some kilobytes each: the oldest go. */
const MAX_ENTRIES = 4096;
/** Entries of one answer. */
export const READ_ENTRIES: number = 100;
/** Before the first entry of any log. */
export const LOG_START: string = '0-0';

/**
 * Appends to a stream and reads what is behind a position, in one step. How long ago something was appended is told by the clock of the store
 * alone. A position behind the end is one of a stream that was lost: then it is read from the start.
 *
 * KEYS: stream. ARGV: position, entries to read at most, entries to keep, seconds to keep them, texts to append. Answers the time (ms), then position and
 * text of each entry.
 */
const LUA = `
for i = 5, #ARGV do redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'n', ARGV[i]) end
if #ARGV >= 5 then redis.call('EXPIRE', KEYS[1], ARGV[4]) end
local from = ARGV[1]
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if last[1] then
  local lastMs, lastSeq = string.match(last[1][1], '^(%d+)-(%d+)$')
  local fromMs, fromSeq = string.match(from, '^(%d+)-(%d+)$')
  lastMs, lastSeq, fromMs, fromSeq = tonumber(lastMs), tonumber(lastSeq), tonumber(fromMs), tonumber(fromSeq)
  if fromMs > lastMs or (fromMs == lastMs and fromSeq > lastSeq) then from = '0-0' end
end
local clock = redis.call('TIME')
local answer = { string.format('%d%03d', clock[1], math.floor(clock[2] / 1000)) }
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '(' .. from, '+', 'COUNT', ARGV[2])) do
  answer[#answer + 1] = entry[1]
  answer[#answer + 1] = entry[2][2]
end
return answer
`;

const EXCHANGE: StoreScript = { name: 'news', lua: LUA };

export interface LogEntry {
  /** Where to read on behind it. */
  readonly position: string;
  /** How long ago it was appended. */
  readonly agoMs: number;
  readonly text: string;
}

/** What hosts tell each other: each appends, and reads what all have appended. */
export class NewsLog {
  readonly #store: Store;
  readonly #key: string;
  readonly #keepSecs: number;

  constructor(store: Store, prefix: string, keepSecs: number) {
    this.#store = store;
    this.#key = `${prefix}{mg-sessions}:news`;
    this.#keepSecs = keepSecs;
  }

  /** Rejects as `Store.run` does; whether the texts were appended is unknown then. */
  async exchange(position: string, texts: readonly string[]): Promise<readonly LogEntry[]> {
    return entriesOf(await this.#store.run(EXCHANGE, [this.#key], [position, READ_ENTRIES, MAX_ENTRIES, this.#keepSecs, ...texts]));
  }
}

/** Nothing of what a script of ours cannot have answered. */
function entriesOf(reply: StoreReply): LogEntry[] {
  if (!Array.isArray(reply)) return [];
  const [now, ...rest] = reply as readonly StoreReply[];
  const entries: LogEntry[] = [];
  for (let at = 0; at + 1 < rest.length; at += 2) {
    const [position, text] = [rest[at], rest[at + 1]];
    if (typeof position !== 'string' || typeof text !== 'string') return entries;
    entries.push({ position, text, agoMs: Math.max(0, Number(now) - Number(position.split('-')[0])) });
  }
  return entries;
}
