import type { Health, ModernOptions } from './upstream.ts';

/** An object that came from another worker, before anybody looked at what is in it. */
export type Raw = Readonly<Record<string, unknown>>;

const HEALTHS: ReadonlySet<unknown> = new Set<Health | null>(['alive', 'failed', null]);

export function isRaw(value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether it can be the number of a call. */
export function isCall(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isHealth(value: unknown): value is Health | null {
  return HEALTHS.has(value);
}

/** Null for anything but bytes; not a copy. */
export function asBuffer(value: unknown): Buffer | null {
  if (Buffer.isBuffer(value)) return value;
  return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.length) : null;
}

/** `Mcp-Param-*` headers as a message carries them (`ModernOptions`); undefined when it is none. */
export function asParams(value: unknown): ModernOptions['params'] | undefined {
  if (value === null || value === 'from_body') return value;
  return Array.isArray(value) && value.every((one) => typeof one === 'string') ? value : undefined;
}

/** Why a call ended without an answer. */
export interface RawFailure {
  /** Its code in the error catalogue. */
  readonly refusal: string;
  readonly detail: string;
  readonly health: Health | null;
}

/** Null for anything but a failure. */
export function asFailure({ refusal, detail, health }: Raw): RawFailure | null {
  return typeof refusal === 'string' && typeof detail === 'string' && isHealth(health) ? { refusal, detail, health } : null;
}
