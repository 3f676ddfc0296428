import type { Envelope } from '../core/envelope.ts';
import { BAD_PARAMS } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import { reread } from './era-requests.ts';
import { KeyNames } from './key-names.ts';
import { JsonScanner, type ScanLimits } from './scan.ts';
import { splice } from './splice.ts';

/** Of the tasks extension (2026-07-28, SEP-2663). */
export const TASKS_EXTENSION: string = 'io.modelcontextprotocol/tasks';
export const TASK_STATUS: string = 'notifications/tasks';
const METHODS: ReadonlySet<string> = new Set(['tasks/get', 'tasks/update', 'tasks/cancel']);

const LIMITS: ScanLimits = { maxDepth: 512, maxKeys: Infinity, maxStringBytes: Infinity, areSkippedKeysCompared: false };
const BODIES = new KeyNames(['params', 'result']);
const MEMBERS = new KeyNames(['taskId', 'resultType', 'status']);
const FILTER = new KeyNames(['notifications']);
const TASK_ID = 0;
const STATUS = 2;

const scanner = new JsonScanner();

/** A string in a message: what it says, and where it stands. */
interface Text {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** What `params` or `result` of a message says of a task; null where that is no string. */
export interface TaskPart {
  readonly taskId: Text | null;
  readonly resultType: string | null;
  readonly status: string | null;
}

/** Whether the request is about a task. */
export function isTaskMethod(method: string): boolean {
  return METHODS.has(method);
}

/** Whether the request says that its client knows tasks. Its claim is sound (`isSoundClaim`). */
export function knowsTasks({ bytes, modern }: Envelope): boolean {
  if (modern === null || modern.capabilitiesEnd - modern.capabilitiesStart <= TASKS_EXTENSION.length) return false;
  const declared = JSON.parse(bytes.toString('utf8', modern.capabilitiesStart, modern.capabilitiesEnd)) as { extensions?: unknown };
  const { extensions } = declared;
  return typeof extensions === 'object' && extensions !== null && Object.hasOwn(extensions, TASKS_EXTENSION);
}

/** Of a whole message, which has been scanned. */
export function taskPartOf(bytes: Buffer): TaskPart {
  let part: TaskPart = { taskId: null, resultType: null, status: null };
  try {
    if (!scanner.begin(bytes, LIMITS) || !scanner.isObject) return part;
    for (let more = scanner.enter(); more; more = scanner.next()) {
      if (BODIES.match(scanner) < 0 || !scanner.isObject) scanner.skip();
      else part = readPart();
    }
    return part;
  } finally {
    scanner.end();
  }
}

function readPart(): TaskPart {
  let taskId: Text | null = null;
  let resultType: string | null = null;
  let status: string | null = null;
  for (let more = scanner.enter(); more; more = scanner.next()) {
    const key = MEMBERS.match(scanner);
    const { pos: start, isString } = scanner;
    scanner.skip();
    const text = key >= 0 && isString ? scanner.text(start, scanner.pos) : null;
    if (text === null) continue;
    if (key === TASK_ID) taskId = { text, start, end: scanner.pos };
    else if (key === STATUS) status = text;
    else resultType = text;
  }
  return { taskId, resultType, status };
}

/** The message with another id of its task. */
export function withTaskId(bytes: Buffer, { start, end }: Text, taskId: string): Buffer {
  return splice(bytes, [{ start, end, text: JSON.stringify(taskId) }]);
}

/** A request about a task as its server knows that; null for one that names none. */
export function requestFor(message: Envelope, taskId: string): Envelope | null {
  const named = taskPartOf(message.bytes).taskId;
  return named === null ? null : reread(message.bytes, named.start, named.end, Buffer.from(JSON.stringify(taskId)));
}

/** Tasks that a subscription asks for: at most so many are read. */
const MAX_TASKS = 256;

/** The ids of tasks that a `subscriptions/listen` names; null when it names none. A filter in another spelling is refused: some reader may take it for the filter. */
export function listenedTasks({ bytes, paramsStart, paramsEnd }: Envelope): readonly string[] | Refusal | null {
  if (paramsStart < 0) return null;
  const params = JSON.parse(bytes.toString('utf8', paramsStart, paramsEnd)) as Readonly<Record<string, unknown>>;
  if (Object.keys(params).some((key) => key !== 'notifications' && key.toLowerCase() === 'notifications')) return BAD_PARAMS;
  const { notifications } = params;
  if (typeof notifications !== 'object' || notifications === null) return null;
  if (!Object.keys(notifications).some(isTaskIds)) return null;
  const { taskIds } = notifications as { taskIds?: unknown };
  return (Array.isArray(taskIds) ? (taskIds as unknown[]) : []).filter((id) => typeof id === 'string').slice(0, MAX_TASKS);
}

/** The subscription with these tasks and no others. */
export function listenTo(message: Envelope, taskIds: readonly string[]): Envelope | null {
  const span = filterSpan(message);
  if (span === null) return null;
  const filter = JSON.parse(message.bytes.toString('utf8', ...span)) as Readonly<Record<string, unknown>>;
  const others = Object.entries(filter).filter(([key]) => !isTaskIds(key));
  const text = JSON.stringify({ ...Object.fromEntries(others), ...(taskIds.length > 0 && { taskIds }) });
  return reread(message.bytes, ...span, Buffer.from(text));
}

/** The subscription without the resources that are not offered; Null: its filter is none. */
export function listenToOffered(message: Envelope, isOffered: (uri: string) => boolean): Envelope | null {
  const span = filterSpan(message);
  const filter: unknown = span === null ? null : JSON.parse(message.bytes.toString('utf8', ...span));
  if (span === null || typeof filter !== 'object' || filter === null) return null;
  const others = Object.entries(filter).filter(([key]) => key.toLowerCase() !== 'resourcesubscriptions');
  const { resourceSubscriptions: named } = filter as { resourceSubscriptions?: unknown };
  const uris = (Array.isArray(named) ? (named as unknown[]) : []).filter((uri) => typeof uri === 'string' && isOffered(uri));
  const text = JSON.stringify({ ...Object.fromEntries(others), ...(uris.length > 0 && { resourceSubscriptions: uris }) });
  return reread(message.bytes, ...span, Buffer.from(text));
}

/** The subscription to these tasks and to nothing else; null: its filter is none. */
export function listenOnlyTo(message: Envelope, taskIds: readonly string[]): Envelope | null {
  const span = filterSpan(message);
  return span === null ? null : reread(message.bytes, ...span, Buffer.from(JSON.stringify({ taskIds })));
}

interface Acknowledgement {
  readonly params?: { notifications?: { taskIds?: unknown } | null } | null;
}

/** The tasks that a server has agreed to tell of, by its own ids. */
export function acknowledgedTasks(bytes: Buffer): readonly string[] {
  const taskIds = (JSON.parse(bytes.toString()) as Acknowledgement).params?.notifications?.taskIds;
  return Array.isArray(taskIds) ? (taskIds as unknown[]).filter((id) => typeof id === 'string') : [];
}

/** The acknowledgement of a subscription, with these ids of tasks and no others. */
export function acknowledgedWith(bytes: Buffer, taskIds: readonly string[]): Buffer {
  const message = JSON.parse(bytes.toString()) as Acknowledgement;
  const filter = message.params?.notifications;
  // What else a server may have put there is the client's to refuse.
  if (typeof filter !== 'object' || filter === null || Array.isArray(filter)) return bytes;
  if (taskIds.length === 0 && filter.taskIds === undefined) return bytes;
  if (taskIds.length > 0) filter.taskIds = taskIds;
  else delete filter.taskIds;
  return Buffer.from(JSON.stringify(message));
}

/** A reader that ignores case would take another spelling for the same. */
function isTaskIds(key: string): boolean {
  return key.toLowerCase() === 'taskids';
}

function filterSpan({ bytes, paramsStart, paramsEnd }: Envelope): [start: number, end: number] | null {
  let span: [number, number] | null = null;
  try {
    if (!scanner.begin(bytes.subarray(paramsStart, paramsEnd), LIMITS) || !scanner.isObject) return null;
    for (let more = scanner.enter(); more; more = scanner.next()) {
      const isFilter = FILTER.match(scanner) === 0;
      const start = scanner.pos;
      scanner.skip();
      if (isFilter) span = [start + paramsStart, scanner.pos + paramsStart];
    }
    return span;
  } finally {
    scanner.end();
  }
}
