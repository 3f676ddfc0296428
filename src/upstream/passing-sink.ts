import type { Refusal } from '../core/refusal.ts';
import type { Health, ReplySink } from '../core/upstream.ts';

/** Passes on whatever it is told; what one of its kind does otherwise is overridden. */
export class PassingSink implements ReplySink {
  protected readonly sink: ReplySink;

  constructor(sink: ReplySink) {
    this.sink = sink;
  }

  onStream(): void {
    this.sink.onStream();
  }

  onMessage(bytes: Buffer): boolean {
    return this.sink.onMessage(bytes);
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    this.sink.onReply(bytes, isError, code);
  }

  onFail(refusal: Refusal, detail: string, health?: Health): void {
    this.sink.onFail(refusal, detail, health);
  }

  onCancelled(): void {
    this.sink.onCancelled();
  }
}
