import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_BUSY } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { Health, InFlight, ReplySink } from '../core/upstream.ts';
import type { ParamHeader } from '../mcp/param-headers.ts';
import type { ToolHeaders } from './tool-headers.ts';

const HEADER_MISMATCH_CODE = -32020;

/** Sends the call with the headers that its tool asks for. */
export type SendMirrored = (declared: readonly ParamHeader[], sink: ReplySink) => InFlight | Refusal;

/**
 * A call of a client that sends no headers, to a server that wants some arguments repeated in them: waits until the tools are
 * known. One that is refused because the headers disagree was not run, so it is sent once more after the tools were asked for anew.
 */
export class MirroredCall implements InFlight, ReplySink {
  readonly #tools: ToolHeaders;
  readonly #tool: string;
  readonly #send: SendMirrored;
  #sink: ReplySink | null = null;
  #flight: InFlight | null = null;
  #isRepeated = false;

  constructor(tools: ToolHeaders, message: Envelope, send: SendMirrored) {
    this.#tools = tools;
    this.#tool = message.name ?? '';
    this.#send = send;
  }

  begin(sink: ReplySink): InFlight | Refusal {
    this.#sink = sink;
    if (!this.#tools.isKnown) return this.#tools.whenKnown(() => this.#sendLate()) ? this : UPSTREAM_BUSY;
    const flight = this.#send(this.#tools.of(this.#tool), this);
    if (isRefusal(flight)) return flight;
    this.#flight = flight;
    return this;
  }

  #sendLate(): void {
    if (this.#sink === null) return;
    const flight = this.#send(this.#tools.of(this.#tool), this);
    if (isRefusal(flight)) this.#sink.onFail(flight, 'could not be sent');
    else this.#flight = flight;
  }

  detach(whenOver: () => void): void {
    this.#sink = null;
    if (this.#flight === null) whenOver();
    else this.#flight.detach(whenOver);
  }

  resume(): void {
    this.#flight?.resume();
  }

  onStream(): void {
    this.#sink?.onStream();
  }

  onMessage(bytes: Buffer): boolean {
    return this.#sink?.onMessage(bytes) ?? true;
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    const isRefused = isError && code === HEADER_MISMATCH_CODE && !this.#isRepeated;
    if (isRefused && this.#repeat()) return;
    this.#sink?.onReply(bytes, isError, code);
  }

  onFail(refusal: Refusal, detail: string, health?: Health): void {
    this.#sink?.onFail(refusal, detail, health);
  }

  onCancelled(): void {
    this.#sink?.onCancelled();
  }

  #repeat(): boolean {
    this.#isRepeated = true;
    this.#flight = null;
    return this.#tools.whenKnown(() => this.#sendLate());
  }
}
