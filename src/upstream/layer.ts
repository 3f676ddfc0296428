import type { Envelope } from '../core/envelope.ts';
import type { Refusal } from '../core/refusal.ts';
import type { ClientHello, SessionPlace, UpstreamSession } from '../core/upstream-session.ts';
import type {
  CircuitState,
  InFlight,
  ModernInfo,
  ReplySink,
  RequestOptions,
  TransportName,
  Upstream,
  UpstreamInfo,
  UpstreamState,
} from '../core/upstream.ts';

/** An upstream in front of another: passes everything on, until a subclass says otherwise. */
export class UpstreamLayer implements Upstream {
  protected readonly inner: Upstream;

  constructor(inner: Upstream) {
    this.inner = inner;
  }

  get name(): string {
    return this.inner.name;
  }

  get transport(): TransportName {
    return this.inner.transport;
  }

  get isRequired(): boolean {
    return this.inner.isRequired;
  }

  get state(): UpstreamState {
    return this.inner.state;
  }

  get detail(): string | null {
    return this.inner.detail;
  }

  get info(): UpstreamInfo | null {
    return this.inner.info;
  }

  get inFlight(): number {
    return this.inner.inFlight;
  }

  get circuit(): CircuitState {
    return this.inner.circuit;
  }

  get retryAfterSecs(): number {
    return this.inner.retryAfterSecs;
  }

  get modern(): ModernInfo | null {
    return this.inner.modern;
  }

  get bridged(): ModernInfo | null {
    return this.inner.bridged ?? null;
  }

  get pids(): readonly number[] {
    return this.inner.pids;
  }

  start(): void {
    this.inner.start();
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    return this.inner.request(message, options, sink);
  }

  notify(message: Envelope, options: RequestOptions, taken?: () => void): Refusal | null {
    return this.inner.notify(message, options, taken);
  }

  newSession(hello: ClientHello): UpstreamSession | null {
    return this.inner.newSession(hello);
  }

  resumeSession(place: SessionPlace): UpstreamSession | null {
    return this.inner.resumeSession(place);
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}
