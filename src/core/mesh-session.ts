import type { Envelope } from './envelope.ts';
import { asEnvelope, envelopeParts } from './mesh-envelope.ts';
import { asBuffer, isCall, isHealth, type Raw } from './mesh-values.ts';
import type { Health } from './upstream.ts';

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
  | ({
      readonly type: 'session';
      readonly what: 'request' | 'notify' | 'respond';
      readonly call: number;
      readonly message: Envelope;
    } & SessionAddress)
  | ({ readonly type: 'session'; readonly what: 'listen' | 'close'; readonly call: number } & SessionAddress);

/** About a call that is not over. `leave`: nobody listens to that stream any more. */
export interface SessionFlow {
  readonly type: 'session';
  readonly what: 'pause' | 'resume' | 'leave';
  readonly call: number;
}

export type SessionOrder = SessionAsk | SessionFlow;

/** How it goes on: the other way. `reply`, `fail` and `over` are the last that is said of a call. */
export type SessionEvent =
  /** The answer is a stream, or the stream that was asked for stands. */
  | { readonly type: 'session'; readonly what: 'stream'; readonly call: number }
  | { readonly type: 'session'; readonly what: 'message'; readonly call: number; readonly bytes: Buffer }
  | {
      readonly type: 'session';
      readonly what: 'reply';
      readonly call: number;
      readonly bytes: Buffer;
      readonly isError: boolean;
      readonly code: number;
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
  /** In order, without an answer: cancelled, taken, closed, the end of a stream. */
  | { readonly type: 'session'; readonly what: 'over'; readonly call: number };

/** As it travels: the bytes of the envelope, and its parts in one list. */
export function packSessionOrder(order: SessionOrder): unknown {
  if (!('message' in order)) return order;
  const { message, ...rest } = order;
  return { ...rest, bytes: message.bytes, parts: envelopeParts(message) };
}

/** Null for anything that is no order of ours. */
export function asSessionOrder(value: Raw): SessionOrder | null {
  const { what, call, server } = value;
  if (!isCall(call)) return null;
  if (what === 'pause' || what === 'resume' || what === 'leave') return { type: 'session', what, call };
  const place = asBuffer(value['place']);
  if (typeof server !== 'string' || place === null) return null;
  if (what === 'listen' || what === 'close') return { type: 'session', what, call, server, place };
  if (what !== 'request' && what !== 'notify' && what !== 'respond') return null;
  const bytes = asBuffer(value['bytes']);
  const message = bytes === null ? null : asEnvelope(value['parts'], bytes);
  return message === null ? null : { type: 'session', what, call, server, place, message };
}

/** Null for anything that is no event of ours. */
export function asSessionEvent(value: Raw): SessionEvent | null {
  const { what, call } = value;
  if (!isCall(call)) return null;
  if (what === 'stream' || what === 'over') return { type: 'session', what, call };
  if (what === 'fail') return asFail(call, value);
  const bytes = asBuffer(value['bytes']);
  if (bytes === null) return null;
  if (what === 'message') return { type: 'session', what, call, bytes };
  const { isError, code } = value;
  if (what !== 'reply' || typeof isError !== 'boolean' || !Number.isFinite(code)) return null;
  return { type: 'session', what, call, bytes, isError, code: code as number };
}

function asFail(call: number, { refusal, detail, health }: Raw): SessionEvent | null {
  if (typeof refusal !== 'string' || typeof detail !== 'string' || !isHealth(health)) return null;
  return { type: 'session', what: 'fail', call, refusal, detail, health };
}
