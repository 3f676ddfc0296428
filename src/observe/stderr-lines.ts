import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import { BurstGate } from './burst-gate.ts';
import { cleanText } from './log-text.ts';
import type { Metrics } from './metrics.ts';

const KEPT_LINES = 100;
const KEPT_CHARS = 8192;
const SHOWN_CHARS = 1024;
const LINES_PER_SECOND = 20;
const LINES_BURST = 20;

export interface StderrLinesDeps {
  readonly metrics: Metrics;
  readonly log: Log;
  readonly clock: Clock;
  readonly redact: (text: string) => string;
}

/** A line as operators see it. */
export interface ShownLine {
  readonly wallMs: number;
  readonly line: string;
}

interface ServerLines {
  readonly kept: ShownLine[];
  next: number;
  readonly gate: BurstGate;
}

/** What children write to standard error: logged at a bounded rate, counted, and the last lines kept for operators. */
export class StderrLines {
  readonly #deps: StderrLinesDeps;
  readonly #servers = new Map<string, ServerLines>();

  constructor(deps: StderrLinesDeps) {
    this.#deps = deps;
  }

  /** @param server name from the configuration */
  add(server: string, line: string): void {
    const lines = this.#servers.get(server) ?? this.#create(server);
    this.#deps.metrics.upstreams.stderrLines.child(server).value += 1;
    // As it came: only what somebody looks at is worth redacting.
    lines.kept[lines.next % KEPT_LINES] = { wallMs: this.#deps.clock.wallMs(), line: line.slice(0, KEPT_CHARS) };
    lines.next += 1;
    if (lines.gate.pass()) this.#deps.log.info({ server, line }, 'upstream stderr');
  }

  /** The last 100 lines, oldest first, redacted, cut and safe to show. */
  tail(server: string): ShownLine[] {
    const lines = this.#servers.get(server);
    if (lines === undefined) return [];
    const oldest = lines.next % KEPT_LINES;
    return [...lines.kept.slice(oldest), ...lines.kept.slice(0, oldest)].map(({ wallMs, line }) => ({ wallMs, line: this.#show(line) }));
  }

  #show(line: string): string {
    const text = cleanText(line, this.#deps.redact);
    return text.length <= SHOWN_CHARS ? text : `${text.slice(0, SHOWN_CHARS)}…`;
  }

  #create(server: string): ServerLines {
    const { clock, log, metrics } = this.#deps;
    const onSuppressed = (count: number): void => {
      metrics.logSuppressed.value += count;
      log.info({ server, lines: count }, 'more upstream stderr, not logged');
    };
    const lines = { kept: [], next: 0, gate: new BurstGate({ clock, perSecond: LINES_PER_SECOND, burst: LINES_BURST, onSuppressed }) };
    this.#servers.set(server, lines);
    return lines;
  }
}
