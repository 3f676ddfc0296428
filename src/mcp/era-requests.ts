import type { Envelope } from '../core/envelope.ts';
import { KeyNames } from './key-names.ts';
import { withMembers, withoutMembers } from './members.ts';
import { isFailure, type JsonLimits, parseMessage } from './parse.ts';

/** The message was parsed before, and grew by what is known. */
const LIMITS: JsonLimits = { maxDepth: 512, maxKeys: Infinity, maxStringBytes: Infinity };
const PREFIX = 'io.modelcontextprotocol/';
const MODERN_META = new KeyNames(['protocolVersion', 'clientCapabilities', 'clientInfo', 'logLevel'].map((name) => PREFIX + name));
const MODERN_PARAMS = new KeyNames(['inputResponses', 'requestState']);
const EMPTY = Buffer.from('{}');

/**
 * A request of an older revision as one of 2026-07-28: `meta` (members, as JSON text) goes into its `_meta`. Null when it has members of
 * that kind already.
 */
export function asModernRequest(message: Envelope, meta: string): Envelope | null {
  const { bytes, paramsStart, paramsEnd, metaStart, metaEnd } = message;
  const oldMeta = metaStart < 0 ? EMPTY : bytes.subarray(metaStart, metaEnd);
  const newMeta = withMembers(oldMeta, meta);
  if (metaStart >= 0) return reread(bytes, metaStart, metaEnd, newMeta);
  if (paramsStart >= 0)
    return reread(
      bytes,
      paramsStart,
      paramsEnd,
      withMembers(bytes.subarray(paramsStart, paramsEnd), `"_meta":${newMeta.toString('utf8')}`),
    );
  const end = bytes.lastIndexOf('}');
  return reread(bytes, end, end, Buffer.from(`,"params":{"_meta":${newMeta.toString('utf8')}}`));
}

/** A request of revision 2026-07-28 as one of an older revision, with another id (raw JSON). Null when it cannot be one. */
export function asLegacyRequest(message: Envelope, idToken: string): Envelope | null {
  const { bytes, metaStart, metaEnd } = message;
  const meta = withoutMembers(bytes.subarray(metaStart, metaEnd), MODERN_META);
  const plain = reread(bytes, metaStart, metaEnd, meta);
  if (plain === null) return null;
  const params = withoutMembers(plain.bytes.subarray(plain.paramsStart, plain.paramsEnd), MODERN_PARAMS);
  const legacy = reread(plain.bytes, plain.paramsStart, plain.paramsEnd, params);
  return legacy === null ? null : reread(legacy.bytes, legacy.idStart, legacy.idEnd, Buffer.from(idToken));
}

/** A message with another text in place of `[start, end)`; null when that makes none of it. */
export function reread(bytes: Buffer, start: number, end: number, text: Buffer): Envelope | null {
  const message = parseMessage(Buffer.concat([bytes.subarray(0, start), text, bytes.subarray(end)]), LIMITS);
  return isFailure(message) ? null : message;
}
