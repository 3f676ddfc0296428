import type { Timer } from '../core/clock.ts';
import type { StdioSettings, UpstreamSettings } from '../core/config.ts';
import type { Envelope } from '../core/envelope.ts';
import { METHOD_NOT_FOUND, UPSTREAM_BUSY, UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_TIMEOUT } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InFlight, ReplySink, RequestOptions, Upstream, UpstreamInfo, UpstreamState } from '../core/upstream.ts';
import { rpcError, rpcResult } from '../mcp/messages.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import type { UpstreamMessage } from '../mcp/upstream-message.ts';
import { Backoff } from './backoff.ts';
import { childEnv, refuseCommand, resolveCommand } from './command.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';
import type { UpstreamDeps } from './deps.ts';
import { cancelledNotification, INITIALIZED, initializeRequest, readInitializeReply } from './handshake.ts';
import { HoldQueue } from './hold-queue.ts';
import { OwnCall } from './own-call.ts';
import type { OwnOutcome } from './own-call.ts';
import { PendingTable } from './pending.ts';
import type { PendingEntry } from './pending.ts';
import { cancelledBy, internalId, notificationToUpstream, PROGRESS, progressToClient, replyToClient, toUpstream } from './rewrite.ts';
import { Status } from './status.ts';
import { toLine } from './stdio-framing.ts';
import { StdioProcess } from './stdio-process.ts';

const MAX_PENDING = 10_000;
const FIRST_RESTART_MS = 100;
const MAX_RESTART_MS = 30_000;

/** A child that was ready for as long starts its back-off anew. */
const STABLE_MS = 10_000;

/** A restart due within this time is worth waiting for. */
const SOON_MS = 1000;

const DEFAULT_GRACE_MS = 2000;

interface HeldCall {
  readonly entry: PendingEntry;
  readonly bytes: Buffer;
}

/**
 * A server that runs as a child process, one for all callers of this worker. Log messages and other notifications of
 * the child that name no request are dropped: with a shared child nobody can tell whom they concern.
 */
export class StdioUpstream implements Upstream {
  readonly transport = 'stdio' as const;
  readonly circuit = 'closed' as const;
  readonly retryAfterSecs = 1;
  readonly #settings: UpstreamSettings;
  readonly #stdio: StdioSettings;
  readonly #deps: UpstreamDeps;
  readonly #status: Status;
  readonly #pending: PendingTable;
  readonly #held: HoldQueue<HeldCall>;
  readonly #backoff = new Backoff({ firstMs: FIRST_RESTART_MS, maxMs: MAX_RESTART_MS });
  #child: StdioProcess | null = null;
  #restart: { readonly timer: Timer; readonly atMs: number } | null = null;
  #readySinceMs = Number.POSITIVE_INFINITY;
  #info: UpstreamInfo | null = null;
  #closing: Promise<void> | null = null;

  constructor(settings: UpstreamSettings, stdio: StdioSettings, deps: UpstreamDeps) {
    this.#settings = settings;
    this.#stdio = stdio;
    this.#deps = deps;
    this.#status = new Status(deps.events);
    this.#pending = new PendingTable({
      clock: deps.clock,
      maxEntries: settings.maxConcurrency > 0 ? settings.maxConcurrency : MAX_PENDING,
      timeoutMs: settings.timeoutMs,
      timeoutMaxMs: settings.timeoutMaxMs,
      onExpired: (entry, deadline) => this.#onExpired(entry, deadline),
    });
    this.#held = new HoldQueue(deps.clock, ({ entry }) => this.#fail(entry, UPSTREAM_DOWN, 'not ready in time'));
  }

  get name(): string {
    return this.#settings.name;
  }

  get isRequired(): boolean {
    return this.#settings.isRequired;
  }

  get state(): UpstreamState {
    return this.#status.state;
  }

  get detail(): string | null {
    return this.#status.detail;
  }

  get info(): UpstreamInfo | null {
    return this.#info;
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  /** The child's process id, also its process group; null while there is none. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  start(): void {
    if (this.#child !== null || this.#restart !== null || this.state === 'closed') return;
    const path = resolveCommand(this.#stdio, this.#deps.baseEnv);
    const refused = refuseCommand(this.#stdio, path);
    if (refused !== null) return this.#status.set(this, 'down', refused);
    if (path === null) return this.#onGone(null, `command not found: ${this.#stdio.command}`);
    this.#spawn(path);
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const isReady = this.state === 'ready';
    if (!isReady && !this.#isAlmostReady()) return UPSTREAM_DOWN;
    if (!isReady && this.#held.isFull) return UPSTREAM_BUSY;
    const entry = this.#pending.add(message, options.principalKey, sink);
    if (entry === null) return UPSTREAM_BUSY;
    const bytes = toLine(toUpstream(message, entry));
    if (!isReady) {
      this.#held.push({ entry, bytes });
    } else if (!this.#write(bytes)) {
      this.#pending.remove(entry);
      return UPSTREAM_BUSY;
    }
    return entry;
  }

  notify(message: Envelope, options: RequestOptions): Refusal | null {
    if (this.state !== 'ready') return UPSTREAM_DOWN;
    const cancelled = cancelledBy(message, options.principalKey, this.#pending);
    const bytes = notificationToUpstream(message, cancelled);
    if (bytes !== null && !this.#write(toLine(bytes))) return UPSTREAM_BUSY;
    if (cancelled !== null) this.#pending.cancel(cancelled);
    return null;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#status.set(this, 'closed', 'closed');
    this.#restart?.timer.cancel();
    this.#restart = null;
    this.#held.takeAll();
    this.#pending.failAll(UPSTREAM_DOWN, 'closed');
    await this.#child?.stop(this.#deps.stopGraceMs ?? DEFAULT_GRACE_MS);
  }

  #isAlmostReady(): boolean {
    if (this.state === 'closed') return false;
    if (this.#child !== null) return true;
    return this.#restart !== null && this.#restart.atMs - this.#deps.clock.nowMs() <= SOON_MS;
  }

  #spawn(path: string): void {
    const { args, cwd, maxLineBytes, command: name } = this.#stdio;
    const { clock, events, baseEnv } = this.#deps;
    try {
      const child: StdioProcess = new StdioProcess({ path, name, args, cwd, maxLineBytes, env: childEnv(this.#stdio, baseEnv) }, clock, {
        onLine: (line) => this.#onLine(line),
        onOversize: () => events.noise(this.name, 'oversize'),
        onStderr: (line) => events.stderrLine(this.name, line),
        onGone: (reason) => this.#onGone(child, reason),
      });
      this.#child = child;
      this.#shakeHands(child);
    } catch (error) {
      // What the operating system refuses at once: arguments too long, a NUL byte in them.
      this.#onGone(null, `could not be started: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`);
    }
  }

  #shakeHands(child: StdioProcess): void {
    const call = new OwnCall((outcome) => this.#onInitialized(child, outcome));
    const entry = this.#pending.addOwn(call, this.#settings.timeoutMs);
    child.write(toLine(initializeRequest(entry.id, this.#deps.version)));
  }

  #onInitialized(child: StdioProcess, outcome: OwnOutcome): void {
    if (this.#child !== child || this.state === 'closed') return;
    if (outcome.bytes === null) return child.kill(`did not answer initialize: ${outcome.detail}`);
    const info = readInitializeReply(outcome.bytes);
    if (typeof info === 'string') return child.kill(info);
    this.#info = info;
    this.#readySinceMs = this.#deps.clock.nowMs();
    child.write(toLine(INITIALIZED));
    this.#status.set(this, 'ready', null);
    for (const { entry, bytes } of this.#held.takeAll()) {
      if (!entry.isDone && !child.write(bytes)) this.#fail(entry, UPSTREAM_BUSY, 'does not read its input');
    }
  }

  /** `child` is null when there never was one. */
  #onGone(child: StdioProcess | null, reason: string): void {
    if (this.#child !== child) return;
    const nowMs = this.#deps.clock.nowMs();
    this.#child = null;
    if (this.state === 'closed') return;
    if (nowMs - this.#readySinceMs >= STABLE_MS) this.#backoff.reset();
    this.#readySinceMs = Number.POSITIVE_INFINITY;
    const delayMs = this.#backoff.next();
    this.#restart = { timer: this.#deps.clock.after(delayMs, () => this.#onRestart()), atMs: nowMs + delayMs };
    this.#status.set(this, 'down', reason);
    // What waited was never sent: the client may try again.
    for (const { entry } of this.#held.takeAll()) this.#fail(entry, UPSTREAM_DOWN, reason);
    this.#pending.failAll(UPSTREAM_FAILED, reason);
  }

  #onRestart(): void {
    this.#restart = null;
    this.start();
    this.#deps.events.restarted(this.name, this.#backoff.attempts);
  }

  #onLine(line: Buffer): void {
    const message = scanUpstreamMessage(line, { maxDepth: MAX_UPSTREAM_DEPTH });
    if (message === null) return this.#deps.events.noise(this.name, 'not_json');
    switch (message.kind) {
      case 'response':
        return this.#onResponse(line, message);
      case 'notification':
        return this.#onNotification(line, message);
      case 'request':
        return this.#onServerRequest(line, message);
    }
  }

  #onResponse(line: Buffer, message: UpstreamMessage): void {
    const entry = this.#pending.get(internalId(line, message.idStart, message.idEnd));
    if (entry === undefined) return this.#deps.events.noise(this.name, 'unmatched');
    this.#pending.remove(entry);
    const { sink } = entry;
    if (sink === null) return;
    if (entry.progressToken !== null && !entry.isStreaming) sink.onStream();
    sink.onReply(replyToClient(line, message, entry), message.isError, message.errorCode);
  }

  #onNotification(line: Buffer, message: UpstreamMessage): void {
    const isProgress = message.method === PROGRESS;
    const entry = isProgress ? this.#pending.get(internalId(line, message.tokenStart, message.tokenEnd)) : undefined;
    const bytes = entry === undefined ? null : progressToClient(line, message, entry);
    if (entry === undefined || bytes === null) return this.#deps.events.noise(this.name, 'unmatched');
    this.#pending.touch(entry);
    // A child is shared and cannot be paused for one slow client: that client misses steps of its progress.
    if (entry.sink === null || entry.isSlow) return;
    if (!entry.isStreaming) entry.sink.onStream();
    entry.isStreaming = true;
    entry.isSlow = !entry.sink.onMessage(bytes);
  }

  #onServerRequest(line: Buffer, message: UpstreamMessage): void {
    this.#deps.events.noise(this.name, 'server_request');
    const idToken = line.toString('utf8', message.idStart, message.idEnd);
    const answer = message.method === 'ping' ? rpcResult(idToken, '{}') : rpcError(idToken, METHOD_NOT_FOUND, 'Method not found', null);
    this.#write(toLine(Buffer.from(answer)));
  }

  #onExpired(entry: PendingEntry, deadline: 'idle' | 'hard'): void {
    if (!entry.isOwn && this.state === 'ready') this.#write(toLine(cancelledNotification(entry.id, 'timed out')));
    entry.sink?.onFail(UPSTREAM_TIMEOUT, `no answer within its ${deadline} deadline`, 'failed');
  }

  #fail(entry: PendingEntry, refusal: Refusal, detail: string): void {
    if (this.#pending.remove(entry)) entry.sink?.onFail(refusal, detail);
  }

  #write(line: Buffer): boolean {
    return this.#child?.write(line) ?? false;
  }
}
