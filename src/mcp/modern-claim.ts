import type { Envelope } from '../core/envelope.ts';

const LOG_LEVELS: ReadonlySet<unknown> = new Set(['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency']);

/**
 * Whether the claims of a request are complete and well formed: version and client capabilities must be there, what is there
 * besides must be what it should (2026-07-28, basic, per-request metadata). Only for messages with a claim.
 */
export function isSoundClaim({ bytes, modern }: Envelope): boolean {
  if (modern === null || modern.version === null) return false;
  if (modern.capabilitiesStart < 0 || !isObject(valueAt(bytes, modern.capabilitiesStart, modern.capabilitiesEnd))) return false;
  if (modern.clientInfoStart >= 0 && !isImplementation(valueAt(bytes, modern.clientInfoStart, modern.clientInfoEnd))) return false;
  return modern.logLevelStart < 0 || LOG_LEVELS.has(valueAt(bytes, modern.logLevelStart, modern.logLevelEnd));
}

/** The span has been scanned: it is JSON, of bounded depth. */
function valueAt(bytes: Buffer, start: number, end: number): unknown {
  return JSON.parse(bytes.toString('utf8', start, end));
}

function isImplementation(value: unknown): boolean {
  return isObject(value) && typeof value['name'] === 'string' && typeof value['version'] === 'string';
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
