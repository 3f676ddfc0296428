import { type Logger, pino, stdTimeFunctions } from 'pino';
import { prettyFactory } from 'pino-pretty';
import type { LoggingSettings } from '../core/config.ts';
import type { Log, LogFields } from '../core/log.ts';
import { cleanText, cleanValue } from './log-text.ts';
import { type LogDestination, stderrDestination } from './stderr-destination.ts';

export interface LogOptions {
  /** Number of `-v` flags: 1 = debug, 2 = trace; never less than the settings say. */
  readonly verbosity: number;
  /** Replaces secrets in a text. */
  readonly redact: (text: string) => string;
  /** Default: stderr. */
  readonly destination?: LogDestination;
  /** Default: whether stderr is a terminal. */
  readonly isTerminal?: boolean;
}

type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error';

const LEVELS: readonly Level[] = ['trace', 'debug', 'info', 'warn', 'error'];

function levelOf(settings: LoggingSettings, verbosity: number): Level {
  const asked = verbosity >= 2 ? 'trace' : verbosity === 1 ? 'debug' : 'error';
  return LEVELS.indexOf(asked) < LEVELS.indexOf(settings.level) ? asked : settings.level;
}

/** The application log: JSON lines, or readable ones on a terminal, on stderr only. */
export function createLog(settings: LoggingSettings, options: LogOptions): Log {
  const isTerminal = options.isTerminal ?? process.stderr.isTTY;
  const isPretty = settings.format === 'pretty' || (settings.format === 'auto' && isTerminal);
  const stream = options.destination ?? stderrDestination();
  const level = levelOf(settings, options.verbosity);
  const logger = pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: (clean: unknown) => clean },
    },
    isPretty ? prettyDestination(stream, isTerminal) : stream,
  );
  return new PinoLog(logger, options.redact, {});
}

function prettyDestination(stream: LogDestination, colorize: boolean): LogDestination {
  const pretty = prettyFactory({ colorize, singleLine: true, ignore: 'pid', translateTime: 'SYS:HH:MM:ss.l' });
  return { write: (line) => stream.write(pretty(line)) };
}

class PinoLog implements Log {
  readonly #logger: Logger;
  readonly #redact: LogOptions['redact'];
  readonly #fields: LogFields;
  /** The level never changes. */
  readonly isDebug: boolean;
  readonly isTrace: boolean;

  constructor(logger: Logger, redact: LogOptions['redact'], fields: LogFields) {
    this.#logger = logger;
    this.#redact = redact;
    this.#fields = fields;
    this.isDebug = logger.isLevelEnabled('debug');
    this.isTrace = logger.isLevelEnabled('trace');
  }

  trace(fields: LogFields, message: string): void {
    this.#write('trace', fields, message);
  }

  debug(fields: LogFields, message: string): void {
    this.#write('debug', fields, message);
  }

  info(fields: LogFields, message: string): void {
    this.#write('info', fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#write('warn', fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.#write('error', fields, message);
  }

  child(fields: LogFields): Log {
    return new PinoLog(this.#logger, this.#redact, { ...this.#fields, ...fields });
  }

  #write(level: Level, fields: LogFields, message: string): void {
    if (!this.#logger.isLevelEnabled(level)) return;
    try {
      const clean = cleanValue({ ...this.#fields, ...fields }, this.#redact) as object;
      this.#logger[level](clean, cleanText(message, this.#redact));
    } catch {
      // A field that cannot be read must not turn an event into a fault. Nothing of it is shown unredacted.
      this.#logger[level]('a log line could not be written: one of its fields cannot be read');
    }
  }
}
