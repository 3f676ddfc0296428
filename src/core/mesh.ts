import type { Envelope } from './envelope.ts';
import { asEnvelope, envelopeParts } from './mesh-envelope.ts';
import { asSessionEvent, asSessionOrder, packSessionOrder, type SessionAge, type SessionEvent, type SessionOrder } from './mesh-session.ts';
import { asBuffer, asFailure, asParams, isCall, isRaw, type Raw } from './mesh-values.ts';
import type { Health, ListKind, ModernInfo, ModernOptions, UpstreamInfo, UpstreamState } from './upstream.ts';

/** Which revisions a child speaks: those with `initialize`, or 2026-07-28. Its first message decides. */
export type ChildEra = 'legacy' | 'modern';

/** A request or notification on its way to the worker that holds the child. */
export interface RelayedMessage {
  readonly server: string;
  /** Whose child: empty where all share them. */
  readonly key: string;
  readonly restPath: string;
  readonly principalKey: string;
  /** Null for a message of a revision with `initialize`. */
  readonly modern: ModernOptions | null;
  readonly message: Envelope;
}

/** Worker that has a client's request → worker that has the child. `call` numbers a request within one connection. */
export type ToOwner =
  | ({ readonly type: 'call'; readonly call: number } & RelayedMessage)
  /** `call`: the request that a cancellation is about; 0 for other notifications. */
  | ({ readonly type: 'notify'; readonly call: number } & RelayedMessage)
  /** The client reads slowly; it reads again. */
  | { readonly type: 'pause'; readonly call: number }
  | { readonly type: 'resume'; readonly call: number }
  /** The client of a request of revision 2026-07-28 is gone: nobody waits for its answer. */
  | { readonly type: 'gone'; readonly call: number }
  /** Somebody waits for a child of this server, of that kind: close one that nobody needs. */
  | { readonly type: 'want'; readonly server: string; readonly era: ChildEra }
  /** Somebody needs to know whether this server speaks revision 2026-07-28. */
  | { readonly type: 'probe'; readonly server: string }
  | SessionOrder
  /** No more calls: the sender drains, and has none left. */
  | { readonly type: 'bye' };

/** Worker that has the child → worker that has the client's request. */
export type ToCaller =
  | { readonly type: 'stream'; readonly call: number }
  | { readonly type: 'message'; readonly call: number; readonly bytes: Buffer }
  /** `life`: of the child that was asked (`ModernInfo`); empty in revisions with `initialize`. */
  | {
      readonly type: 'reply';
      readonly call: number;
      readonly bytes: Buffer;
      readonly isError: boolean;
      readonly code: number;
      readonly life: string;
    }
  /** `refusal`: its code in the error catalogue. */
  | { readonly type: 'fail'; readonly call: number; readonly refusal: string; readonly detail: string; readonly health: Health | null }
  | { readonly type: 'cancelled'; readonly call: number }
  /** Every child here is at work: nothing was sent, and `free` follows when one is not any more. */
  | { readonly type: 'busy'; readonly call: number }
  | { readonly type: 'free'; readonly server: string }
  | { readonly type: 'list_changed'; readonly server: string; readonly kind: ListKind | null }
  /** How the server is as this worker sees it; sent on connecting and on every change. */
  | { readonly type: 'status'; readonly server: string; readonly status: PeerStatus }
  | SessionEvent
  | SessionAge;

/** What one worker tells the others of a server whose children it may hold: how those with a handshake are, and what it knows of the others. */
export interface PeerStatus {
  readonly state: UpstreamState;
  readonly detail: string | null;
  readonly info: UpstreamInfo | null;
  readonly modern: PeerEra;
}

/**
 * Whether the server speaks revision 2026-07-28, as far as a worker has found out. `idle`: it has not asked. `isUp`: a child there is ready,
 * or would be started.
 */
export interface PeerEra {
  readonly verdict: EraVerdict;
  readonly info: ModernInfo | null;
  readonly isUp: boolean;
  readonly detail: string;
}

/**
 * Whether a server speaks revision 2026-07-28. `idle`: nobody has asked yet; `asking`: soon known; `unknown`: it could not be asked;
 * `legacy`: it does not.
 */
export type EraVerdict = 'idle' | 'asking' | 'unknown' | 'modern' | 'legacy';

/** Receives what comes from other workers. Nothing of a worker arrives before `connected` and after `lost`. */
export interface MeshClient {
  /** This worker can now send to that one. */
  connected(slot: number): void;
  /** It cannot any more: what was on its way to it will not be answered. */
  lost(slot: number): void;
  fromOwner(slot: number, message: ToCaller): void;
  /** That worker can now send to this one. */
  callerConnected(slot: number): void;
  /** It has ended, or starts anew: nobody waits for its calls. */
  callerLost(slot: number): void;
  fromCaller(slot: number, message: Exclude<ToOwner, { type: 'bye' }>): void;
}

/** The way to those who hold what is needed here, each known by a number. Messages to one arrive in order, or are lost with the connection. */
export interface OwnerPort {
  /** False when there is no connection or too much waits: nothing was sent. */
  toOwner(slot: number, message: ToOwner): boolean;
  /** Nobody takes connections there: that worker has ended, with all that it held. */
  isGone(slot: number): boolean;
}

/** The way back to those who ask. */
export interface CallerPort {
  /** What cannot be sent is lost with the connection. */
  toCaller(slot: number, message: ToCaller): void;
  /** Whether that worker leaves much of what it was sent unread. */
  isSlow(slot: number): boolean;
}

/** The way to the other workers of this gateway, each known by its slot. */
export interface MeshPort extends OwnerPort, CallerPort {
  /** This worker's own. */
  readonly slot: number;
  /** How many workers there are: slots are 0 … slots − 1. */
  readonly slots: number;
  /** Once, before anything else. */
  attach(client: MeshClient): void;
}

const STATES: ReadonlySet<unknown> = new Set<UpstreamState>(['starting', 'ready', 'down', 'closed']);
const ERAS: ReadonlySet<unknown> = new Set<ChildEra>(['legacy', 'modern']);
const VERDICTS: ReadonlySet<unknown> = new Set<EraVerdict>(['idle', 'asking', 'unknown', 'modern', 'legacy']);
const LISTS: ReadonlySet<unknown> = new Set<ListKind | null>(['tools', 'resources', 'prompts', null]);

/** A message to an owner as it travels: the bytes of the envelope, and its parts in one list. */
export function packToOwner(message: ToOwner): unknown {
  if (message.type === 'session') return packSessionOrder(message);
  if (message.type !== 'call' && message.type !== 'notify') return message;
  const { message: envelope, modern, ...rest } = message;
  return { ...rest, modern: modern && { params: modern.params }, bytes: envelope.bytes, parts: envelopeParts(envelope) };
}

/** Null for anything that is no message of ours. */
export function asToOwner(value: unknown): ToOwner | null {
  if (!isRaw(value)) return null;
  const { type, call } = value;
  if (type === 'want' || type === 'probe') return asWish(type, value);
  if (type === 'bye') return { type };
  if (type === 'session') return asSessionOrder(value);
  if (!isCall(call)) return null;
  if (type === 'pause' || type === 'resume' || type === 'gone') return { type, call };
  if (type !== 'call' && type !== 'notify') return null;
  const relayed = asRelayed(value);
  if (relayed === null) return null;
  // A request of one kind must not be taken for one of the other.
  const isMixed = type === 'call' && (relayed.message.modern === null) !== (relayed.modern === null);
  return isMixed ? null : { type, call, ...relayed };
}

function asRelayed(value: Raw): RelayedMessage | null {
  const { server, key, restPath, principalKey } = value;
  if (typeof server !== 'string' || typeof key !== 'string' || typeof restPath !== 'string' || typeof principalKey !== 'string')
    return null;
  const bytes = asBuffer(value['bytes']);
  const message = bytes === null ? null : asEnvelope(value['parts'], bytes);
  const modern = asModernOptions(value['modern']);
  if (message === null || modern === undefined) return null;
  return { server, key, restPath, principalKey, modern, message };
}

/** Undefined when it is none. */
function asModernOptions(value: unknown): ModernOptions | null | undefined {
  if (value === null) return null;
  const params = isRaw(value) ? asParams(value['params']) : undefined;
  return params === undefined ? undefined : { params };
}

function asWish(type: 'want' | 'probe', { server, era }: Raw): ToOwner | null {
  if (typeof server !== 'string') return null;
  if (type === 'probe') return { type, server };
  return ERAS.has(era) ? { type, server, era: era as ChildEra } : null;
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === 'string';
}

/** Null for anything that is no message of ours. */
export function asToCaller(value: unknown): ToCaller | null {
  if (!isRaw(value)) return null;
  const { type, call, server } = value;
  if (type === 'free') return typeof server === 'string' ? { type, server } : null;
  if (type === 'status') return asStatus(value);
  if (type === 'list_changed') return asListChanged(value);
  if (type === 'session') return asSessionEvent(value);
  if (!isCall(call)) return null;
  if (type === 'stream' || type === 'cancelled' || type === 'busy') return { type, call };
  if (type === 'fail') return asFail(call, value);
  const bytes = asBuffer(value['bytes']);
  if (bytes === null) return null;
  if (type === 'message') return { type, call, bytes };
  const { isError, code, life } = value;
  if (type !== 'reply' || typeof isError !== 'boolean' || !Number.isFinite(code) || typeof life !== 'string') return null;
  return { type, call, bytes, isError, code: code as number, life };
}

function asFail(call: number, value: Raw): ToCaller | null {
  const failure = asFailure(value);
  return failure === null ? null : { type: 'fail', call, ...failure };
}

function asListChanged({ server, kind }: Raw): ToCaller | null {
  if (typeof server !== 'string' || !LISTS.has(kind)) return null;
  return { type: 'list_changed', server, kind: kind as ListKind | null };
}

function asStatus({ server, status }: Raw): ToCaller | null {
  if (typeof server !== 'string' || !isRaw(status)) return null;
  const { state, detail, info } = status;
  if (!STATES.has(state) || !isTextOrNull(detail)) return null;
  const known = info === null ? null : asInfo(info);
  const modern = asPeerEra(status['modern']);
  if (known === undefined || modern === null) return null;
  return { type: 'status', server, status: { state: state as UpstreamState, detail, info: known, modern } };
}

function asPeerEra(value: unknown): PeerEra | null {
  if (!isRaw(value)) return null;
  const { verdict, info, isUp, detail } = value;
  if (!VERDICTS.has(verdict) || typeof isUp !== 'boolean' || typeof detail !== 'string') return null;
  const known = info === null ? null : asModernInfo(info);
  return known === undefined ? null : { verdict: verdict as EraVerdict, info: known, isUp, detail };
}

/** Undefined when it is none. */
function asModernInfo(value: unknown): ModernInfo | undefined {
  if (!isRaw(value)) return undefined;
  const { discover, hasTasks, life } = value;
  const legacy = asInfo(value['legacy']);
  if (typeof discover !== 'string' || typeof hasTasks !== 'boolean' || typeof life !== 'string') return undefined;
  return legacy && { discover, hasTasks, life, legacy };
}

/** Undefined when it is none. */
function asInfo(value: unknown): UpstreamInfo | undefined {
  if (!isRaw(value)) return undefined;
  const { protocolVersion, name, version, serverInfo, capabilities, capabilitiesJson, instructions } = value;
  if (typeof protocolVersion !== 'string' || typeof name !== 'string' || typeof version !== 'string') return undefined;
  if (typeof serverInfo !== 'string' || typeof capabilitiesJson !== 'string' || !isTextOrNull(instructions) || !Array.isArray(capabilities))
    return undefined;
  const names = capabilities.filter((one) => typeof one === 'string');
  return { protocolVersion, name, version, serverInfo, capabilities: new Set(names), capabilitiesJson, instructions };
}

/** A message to a caller as it travels: sets become lists. */
export function packToCaller(message: ToCaller): unknown {
  if (message.type !== 'status') return message;
  const { info, modern } = message.status;
  const known = modern.info === null ? null : { ...modern.info, legacy: packInfo(modern.info.legacy) };
  return { ...message, status: { ...message.status, info: info === null ? null : packInfo(info), modern: { ...modern, info: known } } };
}

function packInfo(info: UpstreamInfo): unknown {
  return { ...info, capabilities: [...info.capabilities] };
}
