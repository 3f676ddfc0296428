import type { Refusal } from './refusal.ts';
import type { Listening, StreamMark, StreamSink } from './upstream-session.ts';

/** Whose batch it is. */
export interface BatchOwner {
  /** Name of the session among the workers. */
  readonly ref: string;
  readonly server: string;
  readonly principalKey: string;
}

/** What is said of all messages of one batch, in one order, kept for a client that comes back for the rest (2025-03-26, Transports). */
export interface BatchStream {
  /** Its client has come back by another connection, which has everything from there on. */
  readonly isTakenUp: boolean;
  /** Called when it does: nothing waits any more for the connection that the batch came by. */
  onTakenUp: (() => void) | null;
  /** Keeps a message and tells who reads; its position, undefined once the session is over. */
  say(bytes: Buffer, isResponse: boolean): StreamMark | undefined;
  /** Every message of the batch has been answered. Idempotent. */
  over(): void;
}

/** The streams of batches that are kept in this worker, and the way to those that others keep. */
export interface BatchStreams {
  /** For a batch in a session that goes on; null where nothing is kept. */
  begin(owner: BatchOwner): BatchStream | null;
  /** Goes on behind an event, by whatever worker of whatever host: `eventId` as a mark of `say` named it. A batch that is gone is `EVENT_UNKNOWN`, or ends so. */
  listen(server: string, eventId: string, sink: StreamSink): Listening | Refusal;
  /** The session is over, and with it what is kept of its batches. */
  endSession(ref: string): void;
}
