import { holdProcess } from '../core/clock.ts';
import type { UpstreamSettings } from '../core/config.ts';
import type { UpstreamEvents } from '../core/upstream.ts';
import { VERSION } from '../core/version.ts';
import { compileToolIndex } from '../policy/tool-index.ts';
import { type ProbeOutcome, probeUpstream } from '../upstream/probe.ts';
import { EXIT_FAILED, EXIT_OK, plain, printLine, type CliIo, type Globals } from './io.ts';
import { loadSnapshot, problemLines } from './load.ts';

function lineOf({ name, transport }: UpstreamSettings, outcome: ProbeOutcome): string {
  if (!outcome.ok) return `${name} (${transport}): FAILED: ${plain(outcome.reason)}`;
  return `${name} (${transport}): ok, ${plain(outcome.name)} ${plain(outcome.version)}, protocol ${plain(outcome.protocolVersion)}`;
}

/** With `-v` what children write to stderr is shown; the outcome of a probe tells the rest. */
function eventsFor(io: CliIo, verbosity: number): UpstreamEvents {
  const ignore = (): void => undefined;
  const stderrLine = (server: string, line: string): void => void io.stderr.write(`${server}: ${plain(line)}\n`);
  return {
    stateChanged: ignore,
    noise: ignore,
    restarted: ignore,
    leftOut: ignore,
    listChanged: ignore,
    childrenChanged: ignore,
    circuitChanged: ignore,
    stderrLine: verbosity > 0 ? stderrLine : ignore,
  };
}

/** `check-upstream`: a real handshake with every server, all at once; one line each, in the order of the configuration. */
export async function checkUpstream(io: CliIo, { config, verbosity }: Globals, timeoutMs: number): Promise<number> {
  const { snapshot, warnings } = loadSnapshot(io, config);
  for (const line of problemLines(warnings, config)) io.stderr.write(`${line}\n`);
  const deps = { clock: io.clock, events: eventsFor(io, verbosity), version: VERSION, baseEnv: io.env, compileTools: compileToolIndex };
  const hold = holdProcess();
  const outcomes = await Promise.all(snapshot.upstreams.map((settings) => probeUpstream(settings, deps, timeoutMs)));
  hold.cancel();
  outcomes.forEach((outcome, index) => printLine(io, lineOf(snapshot.upstreams[index] as UpstreamSettings, outcome)));
  return outcomes.every((outcome) => outcome.ok) ? EXIT_OK : EXIT_FAILED;
}
