import type { Envelope } from './envelope.ts';
import { asEnvelope, envelopeParts } from './mesh-envelope.ts';
import { asBuffer, asFailure, asParams, isCall, isRaw, type Raw } from './mesh-values.ts';
import type { Health, ModernOptions } from './upstream.ts';
import type { StreamMark } from './upstream-session.ts';

/** Which session, for the worker that holds it. */
export interface SessionAddress {
  readonly server: string;
  /** The place's own bytes. */
  readonly place: Buffer;
}

/**
 * What a client wants of its session: worker that has the client → worker that holds the session. `call` numbers it within one connection;
 * 0 where nobody waits for an answer.
 */
export type SessionAsk =
  /** `params`: of a request of revision 2026-07-28 (`ModernOptions`), else null. */
  | ({
      readonly type: 'session';
      readonly what: 'request';
      readonly call: number;
      readonly message: Envelope;
      readonly params: ModernOptions['params'];
    } & SessionAddress)
  | ({
      readonly type: 'session';
      readonly what: 'notify' | 'respond';
      readonly call: number;
      readonly message: Envelope;
    } & SessionAddress)
  /** `from`: the event to go on behind; empty for a new stream. */
  | ({ readonly type: 'session'; readonly what: 'listen'; readonly call: number; readonly from: string } & SessionAddress)
  | ({ readonly type: 'session'; readonly what: 'close'; readonly call: number } & SessionAddress);

/** About a call that is not over. `leave`: nobody listens to that stream any more. `gone`: who asked is gone, and may come back. */
export interface SessionFlow {
  readonly type: 'session';
  readonly what: 'pause' | 'resume' | 'leave' | 'gone';
  readonly call: number;
}

/**
 * There are as many sessions as there may be, of this caller or in all (null). `oldest`: how long has the one been unused that would end first
 * there? Answered with `SessionAge`. `yield`: end it. Not answered.
 */
export interface SessionYield {
  readonly type: 'session';
  readonly what: 'oldest' | 'yield';
  readonly call: number;
  readonly server: string;
  /** A hash. */
  readonly caller: string | null;
}

export type SessionOrder = SessionAsk | SessionFlow | SessionYield;

/** How it goes on: the other way. `reply`, `fail`, `suspended` and `over` are the last that is said of a call. */
export type SessionEvent =
  /** The answer is a stream, or the stream that was asked for stands. */
  | { readonly type: 'session'; readonly what: 'stream'; readonly call: number }
  | {
      readonly type: 'session';
      readonly what: 'message';
      readonly call: number;
      readonly bytes: Buffer;
      readonly isResponse: boolean;
      readonly mark: StreamMark | null;
    }
  | { readonly type: 'session'; readonly what: 'mark'; readonly call: number; readonly mark: StreamMark }
  | {
      readonly type: 'session';
      readonly what: 'reply';
      readonly call: number;
      readonly bytes: Buffer;
      readonly isError: boolean;
      readonly code: number;
      readonly mark: StreamMark | null;
    }
  /** `refusal`: its code in the error catalogue. */
  | {
      readonly type: 'session';
      readonly what: 'fail';
      readonly call: number;
      readonly refusal: string;
      readonly detail: string;
      readonly health: Health | null;
    }
  /** The answer goes to a client that has come back for it. */
  | { readonly type: 'session'; readonly what: 'suspended'; readonly call: number }
  /** In order, without an answer: cancelled, taken, closed, the end of a stream. */
  | { readonly type: 'session'; readonly what: 'over'; readonly call: number };

/** Answers `oldest`. */
export interface SessionAge {
  readonly type: 'session';
  readonly what: 'age';
  readonly call: number;
  /** −1: there is none that could end. */
  readonly unusedMs: number;
}

/** As it travels: the bytes of the envelope, and its parts in one list. */
export function packSessionOrder(order: SessionOrder): unknown {
  if (!('message' in order)) return order;
  const { message, ...rest } = order;
  return { ...rest, bytes: message.bytes, parts: envelopeParts(message) };
}

/** Null for anything that is no order of ours. */
export function asSessionOrder(value: Raw): SessionOrder | null {
  const { what, call, server, from } = value;
  if (!isCall(call)) return null;
  if (what === 'pause' || what === 'resume' || what === 'leave' || what === 'gone') return { type: 'session', what, call };
  if (what === 'oldest' || what === 'yield') return asYield(what, call, value);
  const place = asBuffer(value['place']);
  if (typeof server !== 'string' || place === null) return null;
  if (what === 'close') return { type: 'session', what, call, server, place };
  if (what === 'listen') return typeof from === 'string' ? { type: 'session', what, call, from, server, place } : null;
  if (what !== 'request' && what !== 'notify' && what !== 'respond') return null;
  const bytes = asBuffer(value['bytes']);
  const message = bytes === null ? null : asEnvelope(value['parts'], bytes);
  if (message === null) return null;
  if (what !== 'request') return { type: 'session', what, call, server, place, message };
  const params = asParams(value['params']);
  return params === undefined ? null : { type: 'session', what, call, server, place, message, params };
}

function asYield(what: SessionYield['what'], call: number, { server, caller }: Raw): SessionYield | null {
  if (typeof server !== 'string' || (caller !== null && typeof caller !== 'string')) return null;
  return { type: 'session', what, call, server, caller };
}

/** Null for anything that is no event of ours. */
export function asSessionEvent(value: Raw): SessionEvent | SessionAge | null {
  const { what, call } = value;
  if (!isCall(call)) return null;
  if (what === 'stream' || what === 'suspended' || what === 'over') return { type: 'session', what, call };
  if (what === 'fail') return asFail(call, value);
  if (what === 'age') return asAge(call, value);
  const mark = asMark(value['mark']);
  if (mark === undefined) return null;
  if (what === 'mark') return mark === null ? null : { type: 'session', what, call, mark };
  const bytes = asBuffer(value['bytes']);
  const { isError, code, isResponse } = value;
  if (bytes === null) return null;
  if (what === 'message') return typeof isResponse === 'boolean' ? { type: 'session', what, call, bytes, isResponse, mark } : null;
  if (what !== 'reply' || typeof isError !== 'boolean' || !Number.isFinite(code)) return null;
  return { type: 'session', what, call, bytes, isError, code: code as number, mark };
}

/** Undefined for anything but a mark, or null for none. */
function asMark(value: unknown): StreamMark | null | undefined {
  if (value === null) return null;
  if (!isRaw(value)) return undefined;
  const { eventId, retryMs } = value;
  return typeof eventId === 'string' && Number.isSafeInteger(retryMs) ? { eventId, retryMs: retryMs as number } : undefined;
}

function asAge(call: number, { unusedMs }: Raw): SessionAge | null {
  return Number.isFinite(unusedMs) ? { type: 'session', what: 'age', call, unusedMs: unusedMs as number } : null;
}

function asFail(call: number, value: Raw): SessionEvent | null {
  const failure = asFailure(value);
  return failure === null ? null : { type: 'session', what: 'fail', call, ...failure };
}
