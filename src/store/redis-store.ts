import { createHash } from 'node:crypto';
import { Cluster, Redis } from 'ioredis';
import { type Clock, systemClock, type Timer } from '../core/clock.ts';
import type { RedisSettings } from '../core/config.ts';
import { SEVERAL_NODES, type Store, type StoreReply, type StoreScript, type StoreState, type StoreStateListener } from '../core/store.ts';
import { clusterOptions, sentinelOptions, singleOptions } from './options.ts';

/** Calls on the way. More than an event loop sends within the time that a call may take means that nobody answers. */
const MAX_CALLS = 20_000;
/** After which a client that gave up is told to connect again. */
const REOPEN_MS = 250;

type Client = Redis | Cluster;

/**
 * A store on Redis 6.2 or later: one node, a Cluster, or what Sentinels say the master is. The connection is tried for as
 * long as the store is open; until it is there, and whenever it is not, calls fail at once.
 */
export class RedisStore implements Store {
  readonly isSpread: boolean;
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #onState: StoreStateListener;
  readonly #digests = new Map<StoreScript, string>();
  #state: StoreState = 'lost';
  #reason = 'not connected yet';
  #calls = 0;
  /** As of the connection that is open. */
  #isNode = false;
  #reopenTimer: Timer | null = null;

  /** Throws when the certificate authority's file cannot be read. */
  constructor(settings: RedisSettings, onState: StoreStateListener = () => undefined, clock: Clock = systemClock) {
    this.#clock = clock;
    this.isSpread = settings.mode === 'cluster';
    this.#onState = onState;
    this.#client = openClient(settings);
    this.#listen();
    this.#connect();
  }

  get takesAnyKeys(): boolean {
    return this.#isNode && !this.isSpread;
  }

  get state(): StoreState {
    return this.#state;
  }

  async run(script: StoreScript, keys: readonly string[], args: readonly (string | number)[]): Promise<StoreReply> {
    if (this.#state !== 'ready') throw new Error(`store is ${this.#state}: ${this.#reason}`);
    if (this.#calls >= MAX_CALLS) throw new Error('too many calls are waiting for the store');
    this.#calls++;
    try {
      return await this.#evaluate(script, keys, args);
    } catch (error) {
      const reason = reasonOf(error);
      // Behind what seemed to be one node there are several.
      if (reason === SEVERAL_NODES) this.#isNode = false;
      throw new Error(reason);
    } finally {
      this.#calls--;
    }
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#change('closed', 'closed');
    this.#reopenTimer?.cancel();
    this.#client.disconnect();
  }

  /** A connection that fails is tried again by the client, and told by its events. */
  #connect(): void {
    this.#client.connect().catch((error: unknown) => this.#failed(error));
  }

  /** The client gives up for good when a Sentinel tells of a failover while it looks the master up. */
  #reopen(): void {
    if (this.#state === 'closed' || this.#reopenTimer !== null) return;
    this.#reopenTimer = this.#clock.after(REOPEN_MS, () => {
      this.#reopenTimer = null;
      this.#connect();
    });
  }

  /** By digest; in full where the node does not have the script, as after a restart, a flush or a failover. */
  async #evaluate(script: StoreScript, keys: readonly string[], args: readonly (string | number)[]): Promise<StoreReply> {
    const rest = [...keys, ...args];
    try {
      return decodeReply(await this.#client.evalsha(this.#digestOf(script), keys.length, ...rest));
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return decodeReply(await this.#client.eval(script.lua, keys.length, ...rest));
    }
  }

  #digestOf(script: StoreScript): string {
    const known = this.#digests.get(script);
    if (known !== undefined) return known;
    const digest = createHash('sha1').update(script.lua).digest('hex');
    this.#digests.set(script, digest);
    return digest;
  }

  /** Without a listener for `error` the process would end. */
  #listen(): void {
    const client: NodeJS.EventEmitter = this.#client;
    client.on('error', (error: unknown) => this.#failed(error));
    client.on('ready', () => {
      this.#change('ready', 'connected');
      void this.#askRole();
    });
    for (const event of ['close', 'end', 'reconnecting']) client.on(event, () => this.#change('lost', this.#reason));
    client.on('end', () => this.#reopen());
  }

  /**
   * A node says what it is. Proxies that divide keys among several do not know the question, or answer with what each of them says; who may not ask
   * it loses nothing but speed.
   */
  async #askRole(): Promise<void> {
    if (this.isSpread) return;
    const role: unknown = await this.#client.role().catch(() => null);
    // `master`, how far it is, its replicas.
    this.#isNode = this.#state === 'ready' && Array.isArray(role) && role.length === 3 && role[0] === 'master';
  }

  #failed(error: unknown): void {
    this.#reason = reasonOf(error);
  }

  #change(state: StoreState, reason: string): void {
    if (this.#state === state || this.#state === 'closed') return;
    this.#state = state;
    this.#isNode = false;
    if (state === 'ready') this.#reason = 'connection lost';
    this.#onState(state, reason);
  }
}

function openClient(settings: RedisSettings): Client {
  if (settings.mode === 'cluster') return new Cluster([...settings.nodes], clusterOptions(settings));
  return new Redis(settings.mode === 'sentinel' ? sentinelOptions(settings) : singleOptions(settings));
}

/** The first word of an answer such as `WRONGPASS …`, or the system's code: the rest may quote what was sent. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  if ('code' in error && typeof error.code === 'string') return error.code;
  const [word = ''] = error.message.split(/[\s:]/, 1);
  return /^[A-Z][A-Z_]{2,40}$/.test(word) ? word : error.name === 'Error' ? known(error.message) : error.name;
}

const MESSAGES: readonly (readonly [string, string])[] = [
  ['timed out', 'timeout'],
  ["isn't writeable", 'not connected'],
  ["isn't ready", 'not connected'],
  ['Connection is closed', 'connection closed'],
  ['Socket timeout', 'no answer'],
  ['sentinel', 'no Sentinel answers'],
];

function known(message: string): string {
  return MESSAGES.find(([part]) => message.includes(part))?.[1] ?? 'failed';
}

function decodeReply(value: unknown): StoreReply {
  if (value === null || typeof value === 'number' || typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map(decodeReply);
  throw new TypeError('a script answered with something that it cannot answer with');
}
