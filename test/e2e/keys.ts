import { createHash, randomBytes } from 'node:crypto';

export interface TestKey {
  readonly key: string;
  /** Standard base64 of the SHA-256: what the configuration holds. */
  readonly hash: string;
}

export function makeKey(): TestKey {
  const key = `mcp_${randomBytes(32).toString('base64url')}`;
  return { key, hash: createHash('sha256').update(key).digest('base64') };
}

/** An `auth.api_keys` entry for an object configuration. */
export function keyEntry(id: string, key: TestKey, extra: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { id, key_hash: key.hash, allowed_tools: ['*'], ...extra };
}
