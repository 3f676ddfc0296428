import { join } from 'node:path';
import { systemClock } from '../../src/core/clock.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { BreakerSettings, HttpSettings, StdioSettings, UpstreamSettings } from '../../src/core/config.ts';
import type { Envelope } from '../../src/core/envelope.ts';
import type { Places } from '../../src/core/limit.ts';
import type { Refusal } from '../../src/core/refusal.ts';
import type { Circuit, InFlight, ReplySink, Upstream, UpstreamEvents } from '../../src/core/upstream.ts';
import { isFailure, parseMessage } from '../../src/mcp/parse.ts';
import { LocalCircuit } from '../../src/limit/local-circuit.ts';
import { PlaceTable } from '../../src/limit/place-table.ts';
import { compileSelection } from '../../src/policy/selection.ts';
import { compileToolIndex } from '../../src/policy/tool-index.ts';
import type { UpstreamDeps } from '../../src/upstream/deps.ts';
import type { RegistryDeps } from '../../src/upstream/registry.ts';

export const FIXTURE: string = join(import.meta.dirname, 'fixtures', 'stdio-server.mjs');

/** A message as the request path would hand it on. */
export function envelope(message: string | object): Envelope {
  const text = typeof message === 'string' ? message : JSON.stringify(message);
  const parsed = parseMessage(Buffer.from(text), { maxDepth: 64, maxKeys: 10_000, maxStringBytes: 4 * 1024 * 1024 });
  if (isFailure(parsed)) throw new Error(`not a message: ${parsed.refusal.code}`);
  return parsed;
}

export function call(method: string, params: object = {}, id: string | number = 1): Envelope {
  return envelope({ jsonrpc: '2.0', id, method, params });
}

/** Events as they came. */
export class RecordedEvents implements UpstreamEvents {
  readonly states: string[] = [];
  readonly stderr: string[] = [];
  readonly noises: string[] = [];
  readonly restarts: number[] = [];
  readonly circuits: string[] = [];
  readonly changedLists: string[] = [];
  readonly leftOuts: string[][] = [];
  children = 0;

  stateChanged(upstream: Upstream): void {
    this.states.push(upstream.state);
  }

  stderrLine(_server: string, line: string): void {
    this.stderr.push(line);
  }

  noise(_server: string, kind: string): void {
    this.noises.push(kind);
  }

  restarted(_server: string, attempt: number): void {
    this.restarts.push(attempt);
  }

  childrenChanged(): void {
    this.children += 1;
  }

  circuitChanged(upstream: Upstream): void {
    this.circuits.push(upstream.circuit);
  }

  leftOut(server: string, member: string, reason: string, what: string): void {
    this.leftOuts.push([server, member, reason, what]);
  }

  listChanged(_server: string, kind: string | null): void {
    this.changedLists.push(kind ?? 'any');
  }

  count(kind: string): number {
    return this.noises.filter((one) => one === kind).length;
  }
}

export function deps(
  events: UpstreamEvents = new RecordedEvents(),
  clock: Clock = systemClock,
): UpstreamDeps & { readonly places: Places } {
  return {
    clock,
    events,
    version: '0.0.0',
    baseEnv: { PATH: process.env['PATH'], HOME: '/nonexistent', SECRET: 'of the gateway' },
    compileTools: compileToolIndex,
    stopGraceMs: 900,
    places: new PlaceTable(),
  };
}

/** The same for a whole registry, of the only event loop. */
export function registryDeps(events: UpstreamEvents = new RecordedEvents(), clock: Clock = systemClock): RegistryDeps {
  const circuit = (_server: string, settings: BreakerSettings): Circuit => new LocalCircuit(settings, clock);
  return {
    ...deps(events, clock),
    workers: 1,
    worker: 0,
    mesh: null,
    peerPort: null,
    sendNews: null,
    peerNews: () => undefined,
    circuit,
    selection: compileSelection,
  };
}

/** What a request came to. */
export interface Outcome {
  readonly reply: { readonly id: unknown; readonly result?: unknown; readonly error?: { readonly code: number } } | null;
  readonly isError: boolean;
  readonly refusal: Refusal | null;
  readonly detail: string;
}

/** A sink that keeps what it gets. `answer` is asked after each message whether the client keeps up. */
export class Sink implements ReplySink {
  readonly outcome: Promise<Outcome>;
  readonly messages: { readonly method: string; readonly params: Record<string, unknown> }[] = [];
  readonly arrivals: number[] = [];
  streams = 0;
  outcomes = 0;
  keepsUp = true;
  readonly #resolve: (outcome: Outcome) => void;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    this.outcome = promise;
    this.#resolve = resolve;
  }

  onStream(): void {
    this.streams += 1;
  }

  onMessage(bytes: Buffer): boolean {
    this.messages.push(JSON.parse(bytes.toString()) as (typeof this.messages)[number]);
    this.arrivals.push(performance.now());
    return this.keepsUp;
  }

  onReply(bytes: Buffer, isError: boolean): void {
    this.outcomes += 1;
    this.#resolve({ reply: JSON.parse(bytes.toString()) as Outcome['reply'], isError, refusal: null, detail: '' });
  }

  onFail(refusal: Refusal, detail: string): void {
    this.outcomes += 1;
    this.#resolve({ reply: null, isError: false, refusal, detail });
  }

  onCancelled(): void {
    this.outcomes += 1;
    this.#resolve({ reply: null, isError: false, refusal: null, detail: 'cancelled' });
  }
}

/** Sends and waits for the outcome; a refusal counts as one. */
export async function ask(
  upstream: Upstream,
  message: Envelope,
  principalKey = 'api_key:alice',
  sink: Sink = new Sink(),
): Promise<Outcome> {
  const flight = upstream.request(message, { restPath: '', principalKey }, sink);
  if (isRefusal(flight)) return { reply: null, isError: false, refusal: flight, detail: 'refused' };
  return sink.outcome;
}

/** The result of a call that must succeed. */
export async function resultOf(upstream: Upstream, message: Envelope): Promise<unknown> {
  const { reply, refusal, detail } = await ask(upstream, message);
  if (reply === null) throw new Error(`refused: ${refusal?.code} ${detail}`);
  return reply.result;
}

/** Begins a request that must not be refused. */
export function begin(upstream: Upstream, message: Envelope, sink: Sink, principalKey = 'api_key:alice'): InFlight {
  const flight = upstream.request(message, { restPath: '', principalKey }, sink);
  if (isRefusal(flight)) throw new Error(`refused: ${flight.code}`);
  return flight;
}

export function isRefusal(value: InFlight | Refusal): value is Refusal {
  return 'code' in value;
}

/** Waits until `condition` holds. The deadline is generous: the machine may be busy. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export const ready = (upstream: Upstream): Promise<void> =>
  until(() => upstream.state === 'ready', `${upstream.name} is ready (${upstream.detail})`);

const COMMON = {
  name: 'one',
  pathPrefix: null,
  isPrefixStripped: false,
  isRequired: true,
  timeoutMs: 20_000,
  timeoutMaxMs: 60_000,
  toolTimeouts: [],
  hasOwnChannels: false,
  maxConcurrency: 0,
  queueMs: 0,
  queueMax: 8,
  breaker: null,
  maxResponseBytes: 1024 * 1024,
  listCacheMs: 0,
  isBridged: false,
};

export function stdioSettings(
  stdio: Partial<StdioSettings> = {},
  more: Partial<UpstreamSettings> = {},
): UpstreamSettings & { stdio: StdioSettings } {
  const defaults = {
    command: process.execPath,
    args: [FIXTURE],
    env: {},
    cwd: null,
    isShellAllowed: false,
    maxLineBytes: 1024 * 1024,
    pool: null,
  };
  return { ...COMMON, ...more, transport: 'stdio', stdio: { ...defaults, ...stdio }, http: null };
}

export function httpSettings(
  url: string,
  more: Partial<UpstreamSettings> = {},
  http: Partial<HttpSettings> = {},
): UpstreamSettings & { http: HttpSettings } {
  return { ...COMMON, ...more, transport: 'http', stdio: null, http: { url, headers: {}, arePrivateNetworksAllowed: true, ...http } };
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
