import type { StdioSettings, UpstreamSettings } from '../core/config.ts';
import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_DOWN } from '../core/errors.ts';
import type { EraVerdict } from '../core/mesh.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InFlight, ModernInfo, ReplySink, RequestOptions, UpstreamState } from '../core/upstream.ts';
import type { UpstreamDeps } from './deps.ts';
import { ChildTasks } from './child-tasks.ts';
import { HeldRequests } from './held-requests.ts';
import { ModernChannel } from './modern-channel.ts';
import type { ModernSideHost } from './modern-side.ts';
import type { ChildUpstream } from './pool-child.ts';
import { StdioConnector } from './stdio.ts';

/** What a child tells its pool. */
export interface ModernChildHost {
  onChange(child: ModernChild): void;
  /** Nobody has taken a handshake, as far as is known. */
  isAlone(): boolean;
}

/** A child of a pool that speaks revision 2026-07-28, or is asked whether it does. Calls wait for it to begin. */
export class ModernChild implements ChildUpstream, ModernSideHost {
  readonly #host: ModernChildHost;
  readonly #channel: ModernChannel;
  readonly #held: HeldRequests;
  readonly #tasks = new ChildTasks();
  #isClosed = false;

  constructor(settings: UpstreamSettings, stdio: StdioSettings, deps: UpstreamDeps, host: ModernChildHost) {
    this.#host = host;
    this.#held = new HeldRequests(deps.clock, () => undefined);
    this.#channel = new ModernChannel(settings, new StdioConnector(stdio, deps), deps, this);
  }

  get verdict(): EraVerdict {
    return this.#channel.verdict;
  }

  get info(): ModernInfo | null {
    return this.#channel.info;
  }

  get detail(): string {
    return this.#channel.detail;
  }

  /** It does not speak the revision, or could not be asked: no call of this kind can be its. */
  get isUseless(): boolean {
    return this.verdict === 'legacy' || this.verdict === 'unknown';
  }

  get state(): UpstreamState {
    if (this.#isClosed) return 'closed';
    if (this.#channel.isUp) return 'ready';
    return this.verdict === 'asking' || this.verdict === 'idle' ? 'starting' : 'down';
  }

  get hasTasks(): boolean {
    return this.#tasks.isAny;
  }

  get isUsable(): boolean {
    return !this.#isClosed && !this.isUseless;
  }

  get pids(): readonly number[] {
    const { pid } = this.#channel;
    return pid === null ? [] : [pid];
  }

  has(life: string): boolean {
    return !this.#isClosed && this.#channel.has(life);
  }

  start(): void {
    this.#channel.start();
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    if (!this.isUsable) return UPSTREAM_DOWN;
    if (this.#channel.isUp) return this.#send(message, options, sink);
    return this.#held.hold(message, options, sink, (...call) => this.#send(...call));
  }

  notify(message: Envelope, options: RequestOptions): Refusal | null {
    return this.#channel.notify(message, options);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#held.close();
    await this.#channel.close();
  }

  #send(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    return this.#channel.request(message, options, this.info?.hasTasks === true ? this.#tasks.watched(message, sink) : sink);
  }

  // ModernSideHost

  isAlone(): boolean {
    return this.#host.isAlone();
  }

  onChange(): void {
    if (!this.#channel.isUp) this.#tasks.clear();
    if (this.state === 'ready' || this.isUseless) this.#held.release(this.detail);
    this.#host.onChange(this);
  }
}
