import { clientNetwork } from '../core/client-network.ts';
import type { RateLimitSettings, ToolLimit } from '../core/config.ts';
import { type FieldText, NO_FIELDS } from '../core/field-text.ts';
import { limitPolicy } from '../core/limit-fields.ts';
import { type Charge, type LimitName, NEVER_PLAINLY, type PlaceNote } from '../core/limit.ts';
import type { LimitSpec, Principal } from '../core/principal.ts';
import { budgetKey } from './budget-key.ts';

/** A charge, and what answers and records say of its limit. */
export interface NamedCharge extends Charge {
  /** What of the limit's headers never changes (`core/limit-fields.ts`). */
  readonly policy: FieldText;
  /** The rule in words, for audit and log; never for the client. */
  readonly rule: string;
}

/** Finds the first of `rate_limit.tool_limits` that matches; −1 for none. */
type ToolIndex = (server: string, tool: string) => number;

/** Longer names are no names that MCP knows: those of one caller and server share one bucket. */
const MAX_TOOL_CHARS = 128;
const NONE: readonly NamedCharge[] = Object.freeze([]);

/** What a request takes, stage by stage; worked out once per caller where that is possible. */
export class ChargeBook {
  readonly #settings: RateLimitSettings;
  readonly #toolIndex: ToolIndex;
  readonly #addressPolicy: FieldText;
  readonly #budgets = new Map<Principal, Budget>();
  /** Of the limits that principals have: as many as the configuration has. */
  readonly #policies = new Map<LimitSpec, FieldText>();

  constructor(settings: RateLimitSettings, toolIndex: ToolIndex) {
    this.#settings = settings;
    this.#toolIndex = toolIndex;
    this.#addressPolicy = settings.address === null ? NO_FIELDS : policyOf('address', settings.address);
  }

  /** Before authentication; empty without `rate_limit.ip`. */
  ofAddress(clientIp: string): readonly NamedCharge[] {
    const { address, isEnabled } = this.#settings;
    if (address === null || !isEnabled) return NONE;
    const key = `address:${clientNetwork(clientIp)}`;
    return [{ limit: 'address', key, spec: address, tokens: 1, policy: this.#addressPolicy, rule: 'rate_limit.ip', slot: 0, tenure: 0 }];
  }

  /** Kept for principals that the configuration names; anonymous callers are as many as there are addresses. */
  budgetOf(who: Principal, clientIp: string): Budget {
    if (who.provider === 'anonymous') return this.#make(budgetKey(who, clientIp), who.limit);
    const { notes } = who;
    if (notes?.book === this) return notes.budget as Budget;
    let budget = this.#budgets.get(who);
    if (budget === undefined) {
      budget = this.#make(who.key, who.limit);
      this.#budgets.set(who, budget);
    }
    if (notes !== undefined) Object.assign(notes, { book: this, budget });
    return budget;
  }

  #make(key: string, limit: LimitSpec): Budget {
    let policy = this.#policies.get(limit);
    if (policy === undefined) {
      policy = policyOf('principal', limit);
      this.#policies.set(limit, policy);
    }
    return new Budget(key, limit, policy, this.#settings, this.#toolIndex);
  }
}

/**
 * The buckets of one caller, and the charge that each of its requests takes. Both in one object: all that is kept of a caller has left the caches when its
 * next request comes, and each object on the way to its bucket is a miss.
 */
export class Budget implements NamedCharge, PlaceNote {
  /** Of all that is kept for the caller. */
  readonly key: string;
  slot = 0;
  tenure = 0;
  readonly tokens = 1;
  // As `PlaceNote`, of its requests in progress.
  entered = 0;
  enterBelow = 0;
  leaveAbove: number = NEVER_PLAINLY;
  wasUsed = false;
  places: object | null = null;
  /** Nothing but itself is taken for any message. */
  readonly isAlone: boolean;
  readonly isLimited: boolean;
  readonly policy: FieldText;
  readonly limit = 'principal';
  readonly spec: LimitSpec;
  readonly rule = 'rate of the caller';
  /** What each of its requests takes: this; empty when nobody is limited. */
  readonly own: readonly NamedCharge[];
  readonly #settings: RateLimitSettings;
  readonly #toolIndex: ToolIndex;
  /** By index of the tool limit, and by method: as many as the configuration has. */
  #ofTools: (readonly NamedCharge[] | undefined)[] | null = null;
  #ofMethods: Map<string, readonly NamedCharge[]> | null = null;

  constructor(key: string, spec: LimitSpec, policy: FieldText, settings: RateLimitSettings, toolIndex: ToolIndex) {
    const { isEnabled, tools, perToolDefault, methods } = settings;
    this.key = key;
    this.spec = spec;
    this.policy = policy;
    this.isLimited = isEnabled;
    this.isAlone = !isEnabled || (tools.length === 0 && perToolDefault === null && methods.length === 0);
    this.own = isEnabled ? [this] : NONE;
    this.#settings = settings;
    this.#toolIndex = toolIndex;
  }

  /** What a message takes beside `own`, in this order: tool, method, the rest of its cost. */
  ofMessage(server: string, method: string, tool: string): readonly NamedCharge[] {
    if (this.isAlone) return NONE;
    if (method !== 'tools/call') return this.#ofMethod(method);
    const index = this.#toolIndex(server, tool);
    if (index < 0) return this.#ofOtherTool(server, tool);
    this.#ofTools ??= [];
    return (this.#ofTools[index] ??= this.#ofTool(this.#settings.tools[index] as ToolLimit));
  }

  #ofTool({ pattern, limit, cost }: ToolLimit): readonly NamedCharge[] {
    const text = JSON.stringify(pattern);
    const charges = [...this.#ofMethod('tools/call')];
    if (limit !== null) charges.unshift(charge('tool', `tool:${this.key}\n${text}`, limit, `rate_limit.tool_limits ${text}`));
    if (cost > 1) charges.push({ ...charge('principal', this.key, this.spec, `cost of rate_limit.tool_limits ${text}`), tokens: cost - 1 });
    return charges;
  }

  /** Not kept: clients invent these names. Never a key of a pattern, as those begin with a quotation mark. */
  #ofOtherTool(server: string, tool: string): readonly NamedCharge[] {
    const { perToolDefault } = this.#settings;
    const ofMethod = this.#ofMethod('tools/call');
    if (perToolDefault === null) return ofMethod;
    const name = tool.length > MAX_TOOL_CHARS ? '' : tool;
    return [charge('tool', `tool:${this.key}\n${server}\n${name}`, perToolDefault, 'rate_limit.per_tool_default'), ...ofMethod];
  }

  #ofMethod(method: string): readonly NamedCharge[] {
    const { methods } = this.#settings;
    if (methods.length === 0) return NONE;
    const known = this.#ofMethods?.get(method);
    if (known !== undefined) return known;
    const found = methods.find((limit) => limit.method === method);
    if (found === undefined) return NONE;
    const rule = `rate_limit.method_limits ${JSON.stringify(method)}`;
    const charges = [charge('method', `method:${this.key}\n${method}`, found.limit, rule)];
    this.#ofMethods ??= new Map();
    this.#ofMethods.set(method, charges);
    return charges;
  }
}

function charge(limit: LimitName, key: string, spec: LimitSpec, rule: string): NamedCharge {
  return { limit, key, spec, tokens: 1, policy: policyOf(limit, spec), rule, slot: 0, tenure: 0 };
}

function policyOf(limit: LimitName, { burst, perSecond }: LimitSpec): FieldText {
  const quota = Math.max(1, Math.floor(burst));
  return limitPolicy(limit, quota, Math.max(1, Math.ceil(quota / perSecond)));
}
