import { type Cell, CellFamily, type Collected, OTHER } from './families.ts';
import { type Durations, HistogramFamily } from './histogram.ts';

/** More methods and endpoints than there are; the pipeline hands over labels of a closed set. */
const MAX_METHODS = 100;

interface MethodCounts {
  readonly label: string;
  readonly durations: Durations;
  /** By HTTP status. */
  readonly statuses: Map<number, Cell>;
}

function statusLabel(status: number): string {
  return Number.isInteger(status) && status >= 100 && status <= 599 ? String(status) : OTHER;
}

/** `mcp_guard_requests_total` and `mcp_guard_request_duration_seconds`: two lookups and no allocation per request. */
export class RequestCounts {
  readonly #requests: CellFamily = new CellFamily({
    name: 'mcp_guard_requests_total',
    help: 'Requests that ended, by method or endpoint and HTTP status (499: the client left first).',
    labels: ['method', 'status'],
    limit: MAX_METHODS * 20,
  });
  readonly #durations: HistogramFamily = new HistogramFamily({
    name: 'mcp_guard_request_duration_seconds',
    help: 'Time from the head of a request to the end of its answer.',
    labels: ['method'],
  });
  readonly #methods = new Map<string, MethodCounts>();
  readonly families: readonly Collected[] = [this.#requests, this.#durations];

  count(methodLabel: string, status: number, durationMs: number): void {
    const method = this.#methods.get(methodLabel) ?? this.#add(methodLabel);
    method.durations.observe(durationMs);
    const cell = method.statuses.get(status) ?? this.#addStatus(method, status);
    cell.value += 1;
  }

  #add(methodLabel: string): MethodCounts {
    const label = this.#methods.size < MAX_METHODS ? methodLabel : OTHER;
    const known = this.#methods.get(label);
    if (known !== undefined) return known;
    const method = { label, durations: this.#durations.child(label), statuses: new Map() };
    this.#methods.set(label, method);
    return method;
  }

  #addStatus(method: MethodCounts, status: number): Cell {
    const label = statusLabel(status);
    const cell = this.#requests.child(method.label, label);
    if (label !== OTHER) method.statuses.set(status, cell);
    return cell;
  }
}
