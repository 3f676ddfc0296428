import type { Events } from '../core/events.ts';
import type { Upstream } from '../core/upstream.ts';
import { BurstGate } from './burst-gate.ts';
import { RecentSet } from './recent-set.ts';
import { RequestEvents, type RequestEventsDeps as EventsDeps } from './request-events.ts';
import { type ShownLine, StderrLines } from './stderr-lines.ts';

const FAULTS_PER_SECOND = 20;
const FAULTS_BURST = 50;
const INCIDENTS_PER_SECOND = 1;
const INCIDENTS_BURST = 20;
/** What a virtual server leaves out is told once in this time. */
const LEFT_OUT_TTL_MS = 300_000;
const LEFT_OUTS = 1_000;

/** The events, and what operators may ask of them. */
export interface ObservedEvents extends Events {
  /** The last 100 lines that a server's child wrote to stderr, redacted. */
  stderrTail(server: string): ShownLine[];
}

/** What happens, told once: counter, audit record and log line together. */
export function buildEvents(deps: EventsDeps): ObservedEvents {
  const { clock, log, metrics } = deps;
  const requests = new RequestEvents(deps);
  const stderr = new StderrLines(deps);
  const known = new RecentSet(clock, LEFT_OUT_TTL_MS, LEFT_OUTS);
  const onSuppressed = (count: number): void => {
    metrics.logSuppressed.value += count;
  };
  const faults = new BurstGate({ clock, perSecond: FAULTS_PER_SECOND, burst: FAULTS_BURST, onSuppressed });
  // Anybody who reaches the port can cause them.
  const incidents = new BurstGate({ clock, perSecond: INCIDENTS_PER_SECOND, burst: INCIDENTS_BURST, onSuppressed });
  const fault = (where: string, error: unknown): void => {
    metrics.internalErrors.child(where).value += 1;
    if (faults.pass()) log.error({ where, err: error }, 'internal error');
  };
  /** An event that cannot be told is a fault of ours, and never one of the request that it belongs to. */
  const safely =
    <Arguments extends unknown[]>(where: string, tell: (...args: Arguments) => void) =>
    (...args: Arguments): void => {
      try {
        tell(...args);
      } catch (error) {
        fault(where, error);
      }
    };
  return {
    authenticated: safely('event_authenticated', (context) => requests.authenticated(context)),
    sent: safely('event_sent', (context) => requests.sent(context)),
    settled: safely('event_settled', (context) => requests.settled(context)),
    sessionOpened: safely('event_session_opened', (context) => requests.sessionOpened(context)),
    sessionClosed: safely('event_session_closed', (end) => requests.sessionClosed(end)),
    certificateReloaded: safely('event_certificate_reloaded', (error) => certificateReloaded(deps, error)),
    peer: safely('event_peer', (what, address, reason) => {
      const isTrouble = what === 'unreachable' || what === 'refused';
      if (isTrouble && incidents.pass()) log.warn({ address, reason }, `another host: ${what}`);
      else if (!isTrouble) log.info({ address, reason: reason === '' ? undefined : reason }, `another host: ${what}`);
    }),
    internalError: fault,
    stateChanged: safely('event_state_changed', (upstream) => upstreamChanged(deps, upstream)),
    stderrLine: safely('event_stderr_line', (server, line) => stderr.add(server, line)),
    noise: safely('event_noise', (server, kind) => {
      metrics.upstreams.noise.child(server, kind).value += 1;
      if (kind === 'bad_annotation') log.warn({ server }, 'a tool with a malformed x-mcp-header was left out');
      else if (log.isDebug) log.debug({ server, kind }, 'upstream noise dropped');
    }),
    restarted: safely('event_restarted', (server, attempt) => {
      metrics.upstreams.restarts.child(server).value += 1;
      log.warn({ server, attempt }, 'upstream restarted');
    }),
    leftOut: safely('event_left_out', (server, member, reason, what, count) => {
      const { leftOut } = metrics.upstreams;
      leftOut.child(server, member, reason).value += count;
      // What is missing once is missing in every list until somebody does something about it. The names are the member's to choose.
      if (!known.addIfNew(`${server}\n${member}\n${reason}`)) return;
      log.warn({ server, member, reason, what, count }, 'left out of the lists of a virtual server');
    }),
    listChanged: safely('event_list_changed', (server, list) => {
      if (log.isDebug) log.debug({ server, list: list ?? 'any' }, 'list of the upstream changed');
    }),
    childrenChanged: () => undefined,
    circuitChanged: safely('event_circuit_changed', (upstream) => circuitChanged(deps, upstream)),
    stderrTail: (server) => stderr.tail(server),
  };
}

function certificateReloaded({ log, metrics }: EventsDeps, error: Error | null): void {
  metrics.reloads.child('certificate', error === null ? 'success' : 'failure').value += 1;
  if (error === null) log.info({}, 'certificate reloaded');
  else log.warn({ err: error }, 'certificate could not be reloaded, the old one stays in use');
}

function circuitChanged({ log, metrics }: EventsDeps, { name, circuit }: Upstream): void {
  metrics.upstreams.circuit(name, circuit);
  const fields = { server: name, circuit };
  if (circuit === 'open') log.warn(fields, 'circuit of the upstream is open');
  else log.info(fields, `circuit of the upstream is ${circuit === 'closed' ? 'closed' : 'half open'}`);
}

function upstreamChanged({ log, metrics }: EventsDeps, upstream: Upstream): void {
  const { name, transport, state, detail } = upstream;
  metrics.upstreams.up(name, transport, state === 'ready');
  metrics.upstreams.circuit(name, upstream.circuit);
  const fields = { server: name, transport, state, detail: detail ?? undefined };
  if (state === 'down') log.warn(fields, 'upstream is down');
  else log.info(fields, `upstream is ${state}`);
}
