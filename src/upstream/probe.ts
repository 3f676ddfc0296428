import type { UpstreamSettings } from '../core/config.ts';
import type { Upstream, UpstreamEvents } from '../core/upstream.ts';
import { buildUpstream } from './build.ts';
import type { UpstreamDeps } from './deps.ts';

export type ProbeOutcome =
  | { readonly ok: true; readonly name: string; readonly version: string; readonly protocolVersion: string }
  | { readonly ok: false; readonly reason: string };

const PROBE_GRACE_MS = 750;

/** Events go to `deps.events` as well; `stateChanged` decides. */
type ProbeDeps = Omit<UpstreamDeps, 'stopGraceMs'>;

/**
 * Connects to one server, shakes hands and leaves: nothing is left running. Takes at most `timeoutMs` and a second.
 */
export async function probeUpstream(settings: UpstreamSettings, deps: ProbeDeps, timeoutMs: number): Promise<ProbeOutcome> {
  const { promise, resolve } = Promise.withResolvers<ProbeOutcome>();
  const late = deps.clock.after(timeoutMs, () => resolve({ ok: false, reason: `no answer within ${timeoutMs / 1000} s` }));
  const events: UpstreamEvents = {
    stateChanged: (upstream) => {
      const outcome = outcomeOf(upstream);
      if (outcome !== null) resolve(outcome);
    },
    stderrLine: (server, line) => deps.events.stderrLine(server, line),
    noise: (server, kind) => deps.events.noise(server, kind),
    restarted: () => {},
    leftOut: () => {},
    listChanged: () => {},
    childrenChanged: () => {},
    circuitChanged: () => {},
  };
  // One second more than the probe itself has, so that its own deadline speaks.
  const upstream = buildUpstream({ ...settings, timeoutMs: timeoutMs + 1000 }, { ...deps, events, stopGraceMs: PROBE_GRACE_MS });
  upstream.start();
  try {
    return await promise;
  } finally {
    late.cancel();
    await upstream.close();
  }
}

function outcomeOf({ state, detail, info }: Upstream): ProbeOutcome | null {
  if (state === 'down') return { ok: false, reason: detail ?? 'down' };
  if (state !== 'ready' || info === null) return null;
  return { ok: true, name: info.name, version: info.version, protocolVersion: info.protocolVersion };
}
