import { createHash } from 'node:crypto';
import type { RequestContext } from '../core/context.ts';
import type { Envelope } from '../core/envelope.ts';
import { CAPABILITY_MISSING, MODERN_METHOD_UNKNOWN, TASK_UNKNOWN } from '../core/errors.ts';
import type { Principal } from '../core/principal.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { Route, TaskGroup } from '../core/upstream.ts';
import { knowsTasks, listenedTasks, listenTo, requestFor, TASKS_EXTENSION } from '../mcp/task-messages.ts';
import { decodeTaskRecord, encodeTaskRecord, OWNER_BYTES, type TaskRecord } from '../mcp/task-record.ts';
import type { Parts } from './parts.ts';
import { Seal } from './seal.ts';
import type { Addressed } from './virtual.ts';

/** A task as a request is about it. */
export interface NamedTask extends TaskRecord {
  /** What the client calls it. */
  readonly name: string;
}

/**
 * The ids of tasks as clients know them (2026-07-28, tasks extension): the server's own, sealed together with whose it is, where it is and
 * by what tool it came to be. Nothing is kept: who holds the keys, any worker of any host, knows all that there is to know.
 */
export class TaskBook {
  readonly #seal: Seal;

  /** `keys`: newest first. */
  constructor(keys: readonly Uint8Array[]) {
    this.#seal = Seal.of(keys, 'task id');
  }

  /** Null for an id that is too long. */
  mint(principalKey: string, origin: Omit<TaskRecord, 'owner' | 'taskId'>, taskId: string): string | null {
    const record = encodeTaskRecord({ ...origin, taskId, owner: ownerOf(principalKey) });
    return record === null ? null : this.#seal.seal(record);
  }

  /** The caller's task: nothing tells a foreign one from one that never was. */
  open(name: string, principalKey: string): NamedTask | null {
    const plain = this.#seal.open(name);
    const record = plain === null ? null : decodeTaskRecord(plain);
    return record === null || !record.owner.equals(ownerOf(principalKey)) ? null : { ...record, name };
  }
}

/** What a request about a task is decided on: the server that has the task, and the tool that it came from. */
export function addressTask(parts: Parts, context: RequestContext, route: Route, message: Envelope): Addressed | Refusal {
  if (route.upstream.modern?.hasTasks === true && !knowsTasks(message)) {
    context.errorData = `,"requiredCapabilities":{"extensions":{"${TASKS_EXTENSION}":{}}}`;
    return CAPABILITY_MISSING;
  }
  const task = message.taskId === null ? null : parts.tasks.open(message.taskId, context.budgetKey);
  const upstream = task === null ? null : ownerIn(route, task.server);
  const request = task === null ? null : requestFor(message, task.taskId);
  if (task === null || upstream === null || request === null) {
    // A server without tasks does not know the method at all.
    return route.upstream.modern?.hasTasks === true ? TASK_UNKNOWN : MODERN_METHOD_UNKNOWN;
  }
  context.server = upstream.name;
  context.transport = upstream.transport;
  context.tool = task.tool;
  return { route: { ...route, upstream, virtual: null }, message: request, task };
}

/** Of a server, or of a member of a virtual one. */
function ownerIn({ upstream, virtual }: Route, server: string): Route['upstream'] | null {
  if (virtual !== null) return virtual.member(server);
  return upstream.name === server ? upstream : null;
}

/** A subscription as its server is to get it, and the tasks that it may hear of besides. */
export interface TaskListening {
  readonly message: Envelope;
  readonly tasks: readonly TaskGroup[];
}

/**
 * Null for a subscription that names no tasks. Those that are not the caller's, not of this server, or of a tool that they may not call are left
 * out.
 */
export function listenForTasks(
  parts: Parts,
  context: RequestContext,
  who: Principal,
  route: Route,
  message: Envelope,
): TaskListening | Refusal | null {
  const wanted = listenedTasks(message);
  if (wanted === null || isRefusal(wanted)) return wanted;
  const groups = new Map<string, TaskGroup & { readonly names: Map<string, string> }>();
  for (const name of wanted) {
    const task = parts.tasks.open(name, context.budgetKey);
    if (task === null || ownerIn(route, task.server) === null || !who.access.tool(task.server, task.tool).isAllowed) continue;
    const { server } = task;
    const key = `${server} ${task.place.toString('hex')}`;
    const group = groups.get(key) ?? { server, place: Buffer.from(task.place), names: new Map<string, string>() };
    group.names.set(task.taskId, name);
    groups.set(key, group);
  }
  const request = listenTo(message, []);
  return request === null ? null : { message: request, tasks: [...groups.values()] };
}

function ownerOf(principalKey: string): Buffer {
  return createHash('sha256').update(principalKey).digest().subarray(0, OWNER_BYTES);
}
