import type { Clock } from '../core/clock.ts';
import type { StdioSettings, UpstreamSettings } from '../core/config.ts';
import type { BackoffOptions } from './backoff.ts';
import type { Channel, ChannelListener, Connector } from './channel.ts';
import { childEnv, refuseCommand, resolveCommand } from './command.ts';
import type { UpstreamDeps } from './deps.ts';
import { MessageUpstream } from './message-upstream.ts';
import { toLine } from './stdio-framing.ts';
import { type ChildSpec, StdioProcess } from './stdio-process.ts';

/** A server that runs as a child process, one for all callers of this worker. */
export class StdioUpstream extends MessageUpstream {
  constructor(settings: UpstreamSettings, stdio: StdioSettings, deps: UpstreamDeps) {
    super(settings, new StdioConnector(stdio, deps), deps);
  }
}

/** Starts the child, again and again. */
export class StdioConnector implements Connector {
  readonly backoff: BackoffOptions = { firstMs: 100, maxMs: 30_000 };
  readonly arePingsNeeded = false;
  readonly #stdio: StdioSettings;
  readonly #clock: Clock;
  readonly #baseEnv: UpstreamDeps['baseEnv'];

  constructor(stdio: StdioSettings, { clock, baseEnv }: UpstreamDeps) {
    this.#stdio = stdio;
    this.#clock = clock;
    this.#baseEnv = baseEnv;
  }

  refuse(): string | null {
    return refuseCommand(this.#stdio, resolveCommand(this.#stdio, this.#baseEnv));
  }

  connect(listener: ChannelListener): Channel | string {
    const path = resolveCommand(this.#stdio, this.#baseEnv);
    if (path === null) return `command not found: ${this.#stdio.command}`;
    const { args, cwd, maxLineBytes, command: name } = this.#stdio;
    const spec = { path, name, args, cwd, maxLineBytes, env: childEnv(this.#stdio, this.#baseEnv) };
    try {
      return new StdioChannel(spec, this.#clock, listener);
    } catch (error) {
      // What the operating system refuses at once: arguments too long, a NUL byte in them.
      return `could not be started: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`;
    }
  }
}

/** The pipes of one child: a message is a line. */
class StdioChannel implements Channel {
  readonly isOpen = true;
  readonly #child: StdioProcess;

  constructor(spec: ChildSpec, clock: Clock, listener: ChannelListener) {
    this.#child = new StdioProcess(spec, clock, {
      onLine: (line) => listener.onMessage(line),
      onOversize: () => listener.onNoise('oversize'),
      onStderr: (line) => listener.onStderr(line),
      onGone: (reason) => listener.onGone(reason),
    });
  }

  get pid(): number | null {
    return this.#child.pid ?? null;
  }

  send(message: Buffer): boolean {
    return this.#child.write(toLine(message));
  }

  kill(reason: string): void {
    this.#child.kill(reason);
  }

  stop(graceMs: number): Promise<void> {
    return this.#child.stop(graceMs);
  }
}
