import type { Upstream } from '../core/upstream.ts';
import type { ClientHello, SessionPlace, UpstreamSession } from '../core/upstream-session.ts';
import type { ChannelSessions } from './channel-sessions.ts';
import { UpstreamLayer } from './layer.ts';

/** A server behind channels of which each client's session has its own; what comes without a session shares the one of `inner`. */
export class SessionedUpstream extends UpstreamLayer {
  readonly #sessions: ChannelSessions;

  constructor(inner: Upstream, sessions: ChannelSessions) {
    super(inner);
    this.#sessions = sessions;
  }

  override get inFlight(): number {
    return this.inner.inFlight + this.#sessions.inFlight;
  }

  override get pids(): readonly number[] {
    return [...this.inner.pids, ...this.#sessions.pids];
  }

  override newSession(hello: ClientHello): UpstreamSession | null {
    return this.#sessions.open(hello);
  }

  override resumeSession(place: SessionPlace): UpstreamSession | null {
    return this.#sessions.resume(place);
  }

  override async close(): Promise<void> {
    await Promise.all([this.inner.close(), this.#sessions.close()]);
  }
}
