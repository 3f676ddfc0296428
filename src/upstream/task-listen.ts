import type { Clock, Timer } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { Health, InFlight, ReplySink, RequestOptions, TaskGroup } from '../core/upstream.ts';
import { ACKNOWLEDGED } from '../mcp/listen-filter.ts';
import { acknowledgedTasks, acknowledgedWith, listenOnlyTo, listenTo, TASK_STATUS, taskPartOf, withTaskId } from '../mcp/task-messages.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import type { ChildPlaces } from './child-places.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';
import type { ModernSide } from './modern-side.ts';

/** Processes that one subscription hears of, beside the one that it would go to anyway. */
const MAX_BRANCHES = 16;
/** The acknowledgement waits for all of them, but not for one that is slow. */
const PATIENCE_MS = 1000;
/** Statuses that come before it. */
const MAX_EARLY = 64;

/** The tasks at one process. */
class Branch implements ReplySink {
  readonly names: ReadonlyMap<string, string>;
  stage: 'asked' | 'agreed' | 'over' = 'asked';
  /** The client's names of what it has agreed to tell of. */
  agreed: readonly string[] = [];
  flight: InFlight | null = null;
  readonly #listen: TaskListen;

  constructor(names: ReadonlyMap<string, string>, listen: TaskListen) {
    this.names = names;
    this.#listen = listen;
  }

  onStream(): void {}

  onMessage(bytes: Buffer): boolean {
    return this.#listen.onBranch(this, bytes);
  }

  onReply(): void {
    this.#listen.onBranchOver(this);
  }

  onFail(): void {
    this.#listen.onBranchOver(this);
  }

  onCancelled(): void {
    this.#listen.onBranchOver(this);
  }
}

/**
 * `subscriptions/listen` at a server of which there are many (2026-07-28, subscriptions, tasks): what it tells of itself comes from whichever process the subscription goes to, what it tells of tasks from
 * the processes that have them, in whatever worker. One acknowledgement says what all of them have agreed to. Tasks have the names that the client knows, and
 * nothing is told of others.
 */
export class TaskListen implements ReplySink, InFlight {
  readonly #sink: ReplySink;
  readonly #branches: Branch[] = [];
  /** Of tasks at the server that all workers reach. */
  readonly #names: ReadonlyMap<string, string>;
  readonly #early: Buffer[] = [];
  /** The main part's, until all is known. */
  #acknowledgement: Buffer | null = null;
  #isAcknowledged = false;
  #isOver = false;
  #patience: Timer | null = null;
  #main: InFlight | null = null;

  private constructor(sink: ReplySink, names: ReadonlyMap<string, string>) {
    this.#sink = sink;
    this.#names = names;
  }

  /** `message` names no tasks: they are in the options. */
  static begin(
    modern: ModernSide,
    places: ChildPlaces | null,
    clock: Clock,
    message: Envelope,
    options: RequestOptions,
    sink: ReplySink,
  ): InFlight | Refusal {
    const { tasks = [] } = options.modern ?? {};
    const anywhere = tasks.find(({ place }) => place.length === 0)?.names ?? new Map<string, string>();
    const listen = new TaskListen(sink, anywhere);
    const whole = anywhere.size === 0 ? message : listenTo(message, [...anywhere.keys()]);
    const flight = modern.request(whole ?? message, options, listen);
    if (isRefusal(flight)) return flight;
    listen.#main = flight;
    const placed = tasks.filter(({ place }) => place.length > 0).slice(0, MAX_BRANCHES);
    for (const group of placed) listen.#ask(places, message, options, group);
    if (placed.length > 0) listen.#patience = clock.after(PATIENCE_MS, () => listen.#onLate());
    return listen;
  }

  detach(whenOver: () => void): void {
    this.#stop();
    this.#main?.detach(() => undefined);
    whenOver();
  }

  resume(): void {
    this.#main?.resume();
    for (const { flight } of this.#branches) flight?.resume();
  }

  onStream(): void {
    if (!this.#isOver) this.#sink.onStream();
  }

  onMessage(bytes: Buffer): boolean {
    const method = this.#isOver ? undefined : methodOf(bytes);
    if (method === undefined) return true;
    if (method === ACKNOWLEDGED && !this.#isAcknowledged) {
      this.#acknowledgement = bytes;
      this.#acknowledgeWhenKnown();
      return true;
    }
    const shown = method === TASK_STATUS ? named(bytes, this.#names) : bytes;
    if (shown === null) return true;
    // The server has acknowledged, the processes of tasks have not.
    if (this.#acknowledgement === null) return this.#sink.onMessage(shown);
    if (this.#early.length < MAX_EARLY) this.#early.push(shown);
    return true;
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    if (this.#stop()) this.#sink.onReply(bytes, isError, code);
  }

  onFail(refusal: Refusal, detail: string, health?: Health): void {
    if (this.#stop()) this.#sink.onFail(refusal, detail, health);
  }

  onCancelled(): void {
    if (this.#stop()) this.#sink.onCancelled();
  }

  onBranch(branch: Branch, bytes: Buffer): boolean {
    const method = this.#isOver ? undefined : methodOf(bytes);
    if (method === ACKNOWLEDGED && branch.stage === 'asked') {
      branch.stage = 'agreed';
      branch.agreed = acknowledgedTasks(bytes).flatMap((id) => branch.names.get(id) ?? []);
      this.#acknowledgeWhenKnown();
    }
    if (method !== TASK_STATUS || branch.stage !== 'agreed') return true;
    const shown = named(bytes, branch.names);
    if (shown === null) return true;
    if (this.#isAcknowledged) return this.#sink.onMessage(shown);
    if (this.#early.length < MAX_EARLY) this.#early.push(shown);
    return true;
  }

  /** Its process is gone, or has none of these tasks: the rest goes on, and clients ask for what they miss. */
  onBranchOver(branch: Branch): void {
    branch.stage = 'over';
    this.#acknowledgeWhenKnown();
  }

  #ask(places: ChildPlaces | null, message: Envelope, options: RequestOptions, { place, names }: TaskGroup): void {
    const target = places?.find(place) ?? null;
    const request = target === null ? null : listenOnlyTo(message, [...names.keys()]);
    if (target === null || request === null) return;
    const branch = new Branch(names, this);
    const flight = target.request(request, { ...options, modern: { params: null } }, branch);
    if (isRefusal(flight)) return;
    branch.flight = flight;
    this.#branches.push(branch);
  }

  #onLate(): void {
    for (const branch of this.#branches) {
      if (branch.stage !== 'asked') continue;
      branch.stage = 'over';
      branch.flight?.detach(() => undefined);
    }
    this.#acknowledgeWhenKnown();
  }

  /** Nothing precedes the acknowledgement. */
  #acknowledgeWhenKnown(): void {
    const bytes = this.#acknowledgement;
    if (bytes === null || this.#isAcknowledged || this.#isOver || this.#branches.some(({ stage }) => stage === 'asked')) return;
    this.#isAcknowledged = true;
    this.#acknowledgement = null;
    this.#patience?.cancel();
    const own = acknowledgedTasks(bytes).flatMap((id) => this.#names.get(id) ?? []);
    this.#sink.onMessage(acknowledgedWith(bytes, [...own, ...this.#branches.flatMap(({ agreed }) => agreed)]));
    for (const status of this.#early.splice(0)) this.#sink.onMessage(status);
  }

  /** False: it was over. */
  #stop(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#patience?.cancel();
    for (const { flight, stage } of this.#branches) if (stage !== 'over') flight?.detach(() => undefined);
    return true;
  }
}

function methodOf(bytes: Buffer): string | undefined {
  return scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH })?.method;
}

/** Null for the status of a task that the client did not ask for. */
function named(bytes: Buffer, names: ReadonlyMap<string, string>): Buffer | null {
  const { taskId } = taskPartOf(bytes);
  const name = taskId === null ? undefined : names.get(taskId.text);
  return taskId === null || name === undefined ? null : withTaskId(bytes, taskId, name);
}
