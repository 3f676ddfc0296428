import type { CircuitState } from '../core/upstream.ts';
import { type Cell, CellFamily, type Collected } from './families.ts';
import { type Durations, HistogramFamily } from './histogram.ts';

/** How a request to an upstream ended: answered, answered with a JSON-RPC error, not answered, too late, not sent, client left. */
export type UpstreamResult = 'success' | 'error' | 'failure' | 'timeout' | 'refused' | 'client_gone';

const CIRCUIT_STATES: readonly CircuitState[] = ['closed', 'open', 'half_open'];

interface Outcome {
  readonly transport: string;
  readonly requests: Cell;
  readonly latency: Durations;
}

/** Everything that is counted per upstream. Server names come from the configuration, so the labels are bounded. */
export class UpstreamCounts {
  readonly #requests: CellFamily = new CellFamily({
    name: 'mcp_guard_upstream_requests_total',
    help: 'Requests to upstreams, by how they ended.',
    labels: ['server', 'transport', 'result'],
  });
  readonly #latency: HistogramFamily = new HistogramFamily({
    name: 'mcp_guard_upstream_latency_seconds',
    help: 'Time from sending a request upstream to the end of its answer.',
    labels: ['server', 'transport', 'result'],
  });
  readonly #up: CellFamily = new CellFamily(
    { name: 'mcp_guard_upstream_up', help: '1 when the upstream is ready in every worker.', labels: ['server', 'transport'] },
    'gauge',
    'min',
  );
  readonly #breaker: CellFamily = new CellFamily(
    {
      name: 'mcp_guard_upstream_breaker',
      help: '1 for the state that the circuit of the upstream is in, in any worker.',
      labels: ['server', 'state'],
    },
    'gauge',
    'max',
  );
  readonly restarts: CellFamily = new CellFamily({
    name: 'mcp_guard_upstream_restarts_total',
    help: 'Restarts of upstreams.',
    labels: ['server'],
  });
  readonly noise: CellFamily = new CellFamily({
    name: 'mcp_guard_upstream_noise_total',
    help: 'Lines and events of upstreams that were dropped, by kind.',
    labels: ['server', 'kind'],
  });
  readonly stderrLines: CellFamily = new CellFamily({
    name: 'mcp_guard_upstream_stderr_lines_total',
    help: 'Lines that children wrote to standard error.',
    labels: ['server'],
  });
  readonly leftOut: CellFamily = new CellFamily({
    name: 'mcp_guard_virtual_left_out_total',
    help: 'Members, and single things of them, that answers of virtual servers left out.',
    labels: ['server', 'member', 'reason'],
  });
  readonly families: readonly Collected[] = [
    this.#requests,
    this.#latency,
    this.#up,
    this.#breaker,
    this.restarts,
    this.noise,
    this.stderrLines,
    this.leftOut,
  ];
  /** By server, then by result: no joined key per request. */
  readonly #outcomes = new Map<string, Map<string, Outcome>>();

  /** @param latencyMs negative: nothing was sent, or nothing is answered */
  ended(server: string, transport: string, result: UpstreamResult, latencyMs: number): void {
    const known = this.#outcomes.get(server)?.get(result);
    const outcome = known?.transport === transport ? known : this.#add(server, transport, result);
    outcome.requests.value += 1;
    if (latencyMs >= 0) outcome.latency.observe(latencyMs);
  }

  up(server: string, transport: string, isUp: boolean): void {
    this.#up.child(server, transport).value = isUp ? 1 : 0;
  }

  circuit(server: string, current: CircuitState): void {
    for (const state of CIRCUIT_STATES) this.#breaker.child(server, state).value = state === current ? 1 : 0;
  }

  #add(server: string, transport: string, result: UpstreamResult): Outcome {
    const outcome = {
      transport,
      requests: this.#requests.child(server, transport, result),
      latency: this.#latency.child(server, transport, result),
    };
    const results = this.#outcomes.get(server) ?? new Map<string, Outcome>();
    results.set(result, outcome);
    if (this.#outcomes.size < 1000) this.#outcomes.set(server, results);
    return outcome;
  }
}
