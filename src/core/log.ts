/** Structured facts of a log line. Values are redacted, cut and made safe for a terminal by the log, not by the caller. */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * The application log (stderr). Never throws, never blocks. `error` under the field name `err` is written with its type,
 * message, code and stack; a credential may not be handed over at all, redaction is the second line of defence.
 */
export interface Log {
  trace(fields: LogFields, message: string): void;
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** A log whose lines all carry `fields`. */
  child(fields: LogFields): Log;
  /** Whether `debug` lines are written, for callers whose fields cost something. */
  readonly isDebug: boolean;
  /** The same for `trace` lines. */
  readonly isTrace: boolean;
}
