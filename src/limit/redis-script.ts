import type { StoreReply, StoreScript } from '../core/store.ts';

/**
 * One step of each of several buckets in Redis, atomically and by the clock of Redis alone.
 *
 * A bucket is a hash: `x` its level, `t` the moment (µs) up to which refill is credited, and per holder one field
 * `h:<id>` = tokens held, number of its last ask, moment (µs) at which it is taken for dead. Levels are whole millionths of a token,
 * so refill is µs × tokens per second without rounding; what a fraction is worth stays in `t`, which is rounded up. Doubles
 * hold both exactly (10^12 and 2 × 10^15 at most).
 *
 * With L the tokens held, x ≤ b − L always; only refill raises x + L. A holder that is late counts as having spent all, from
 * its moment on. An ask that is older than the last one of its holder changes nothing and is told so. A bucket that does not exist
 * was full or was lost with the epoch: it is worth what the time since the epoch began is worth. In the epoch's first
 * moments holders that have not called yet are allowed for with two tenths of the burst: pools, and leases of workers.
 *
 * For each step, KEYS: bucket, epoch; ARGV, one text with spaces between: tokens per second, burst, want, at least, holder, number of the ask,
 * tokens the holder still has, tokens it gives back, tokens it spent while there was no Redis, µs after which a silent holder is dead, tokens that
 * a denied holder waits for. Answers for each granted (−1: stale; −2: this step failed), ms to wait, tokens left, holders alive; all in
 * one text, because each value of a call or an answer costs the client more than what is in it. Fails when every step does.
 */
const LUA = `
local TOKEN = 1000000
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local function step(bucket, epochOfTag, said)
  local texts = {}
  for text in string.gmatch(said, '%S+') do texts[#texts + 1] = text end
  local function given(i) return tonumber(texts[i]) end
  local rate, burst = given(1), given(2)
  local want, least = given(3), math.max(1, given(4))
  local me, number = 'h:' .. texts[5], given(6)
  local have, back, debt = given(7), given(8), given(9)
  local life, target = given(10), given(11)

  local epoch = tonumber(redis.call('GET', epochOfTag) or '')
  if not epoch or epoch > now then
    epoch = now
    redis.call('SET', epochOfTag, string.format('%.0f', now))
  end
  local age = now - epoch
  local reserve = age < life and math.floor(burst / 5) or 0

  local level, at, held, alive, late, mine = nil, now, 0, 1, {}, nil
  local fields = redis.call('HGETALL', bucket)
  for i = 1, #fields, 2 do
    local name, value = fields[i], fields[i + 1]
    if name == 'x' then level = tonumber(value)
    elseif name == 't' then at = tonumber(value)
    else
      local tokens, count, dies = string.match(value, '^(%d+) (%d+) (%d+)$')
      local holder = { name = name, tokens = tonumber(tokens), count = tonumber(count), dies = tonumber(dies) }
      held = held + holder.tokens
      if name == me then mine = holder end
      if holder.dies <= now then late[#late + 1] = holder
      elseif name ~= me then alive = alive + 1 end
    end
  end
  if mine and mine.count >= number then return -1, 0, 0, 0 end
  if at > now + 1 then at = now end
  if not level then level = math.min(burst * TOKEN, math.floor(age * rate)) end

  local function refill(upto)
    local cap = (burst - held - reserve) * TOKEN
    local gained = math.floor(math.max(0, upto - at) * rate)
    if level + gained >= cap then
      level = math.min(level, cap)
      if gained > 0 then level = cap end
      at = math.max(at, upto)
    elseif gained > 0 then
      level = level + gained
      at = at + math.ceil(gained / rate * 4) / 4
    end
  end

  table.sort(late, function (one, other) return one.dies < other.dies end)
  for _, holder in ipairs(late) do
    refill(holder.dies)
    held = held - holder.tokens
    if holder == mine then mine = nil end
    redis.call('HDEL', bucket, holder.name)
  end
  refill(now)

  local known = mine and mine.tokens or 0
  held = held - known + have
  level = level + (math.min(back, math.max(0, known - have)) - debt) * TOKEN
  level = math.min(level, (burst - held - reserve) * TOKEN)
  level = math.max(level, -burst * TOKEN)

  local whole, granted, wait = math.floor(level / TOKEN), 0, 0
  if want > 0 then
    if whole >= least then
      granted = math.min(want, whole)
      level = level - granted * TOKEN
      held = held + granted
    else
      wait = math.max(1, math.ceil((target * TOKEN - level) / rate / 1000))
    end
  end

  local total = have + granted
  redis.call('HSET', bucket, 'x', string.format('%.0f', level), 't', string.format('%.2f', at),
    me, string.format('%.0f %.0f %.0f', total, number, now + life))
  local full = math.ceil((burst * TOKEN - level) / rate / 1000)
  redis.call('PEXPIRE', bucket, string.format('%.0f', full + math.ceil(life / 1000) + 1000))
  return granted, math.min(wait, 2147483647), math.max(0, math.floor(level / TOKEN)), alive
end

local answers, failures, failure = {}, 0, nil
for i = 1, #KEYS / 2 do
  local isDone, granted, wait, left, alive = pcall(step, KEYS[2 * i - 1], KEYS[2 * i], ARGV[i])
  if not isDone then
    failures, failure = failures + 1, granted
    granted, wait, left, alive = -2, 0, 0, 0
  end
  answers[i] = string.format('%.0f %.0f %.0f %.0f', granted, wait, left, alive)
end
if failures == #KEYS / 2 then
  return redis.error_reply(type(failure) == 'table' and failure.err or tostring(failure))
end
return table.concat(answers, ' ')
`;

/** Begins the epoch of each tag that has none. KEYS: epochs. */
export const TOUCH_SCRIPT: StoreScript = {
  name: 'touch',
  lua: `
local clock = redis.call('TIME')
for i = 1, #KEYS do redis.call('SET', KEYS[i], string.format('%.0f', clock[1] * 1000000 + clock[2]), 'NX') end
return 1
`,
};

export const LEASE_SCRIPT: StoreScript = { name: 'lease', lua: LUA };

/** What a holder says and asks in one call. Tokens are whole. */
export interface LeaseCall {
  readonly perSecond: number;
  readonly burst: number;
  readonly want: number;
  readonly atLeast: number;
  /** Without spaces. */
  readonly holder: string;
  /** Grows with each call of the holder on this key. */
  readonly number: number;
  readonly have: number;
  readonly back: number;
  readonly debt: number;
  readonly deadAfterMs: number;
  /** When denied: until so many are there. */
  readonly target: number;
}

export interface LeaseReply {
  readonly granted: number;
  readonly waitMs: number;
  readonly left: number;
  /** Hosts that have called on this key lately, this one included. */
  readonly hosts: number;
}

/** One step as the script wants it. */
export function leaseArg(call: LeaseCall): string {
  const { perSecond, burst, want, atLeast, holder, number, have, back, debt, deadAfterMs, target } = call;
  return `${perSecond} ${burst} ${want} ${atLeast} ${holder} ${number} ${have} ${back} ${debt} ${deadAfterMs * 1000} ${target}`;
}

/** What became of a step. Null: it came too late, behind a later one of the same holder, and changed nothing. */
export type LeaseResult = LeaseReply | null | 'failed';

const STALE = -1;
const FIGURES = 4;

/** What became of each of `count` steps. Throws TypeError for what is no answer of the script. */
export function decodeLeases(reply: StoreReply, count: number): LeaseResult[] {
  const numbers: number[] = [];
  // Not with `map`, whose numbers are fractions to V8 once it is compiled: then all that they are added to is laid out anew.
  if (typeof reply === 'string') for (const text of reply.split(' ')) numbers.push(Number(text));
  if (numbers.length !== count * FIGURES || !numbers.every(Number.isSafeInteger)) throw new TypeError('no answer of the lease script');
  const results: LeaseResult[] = [];
  for (let at = 0; at < numbers.length; at += FIGURES) results.push(resultOf(numbers, at));
  return results;
}

function resultOf(numbers: readonly number[], at: number): LeaseResult {
  const granted = numbers[at] as number;
  if (granted === STALE) return null;
  if (granted < 0) return 'failed';
  return { granted, waitMs: numbers[at + 1] as number, left: numbers[at + 2] as number, hosts: numbers[at + 3] as number };
}
