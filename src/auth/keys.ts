import { hash, randomBytes } from 'node:crypto';

/** Of SHA-256. */
export const DIGEST_BYTES = 32;
const BASE64_FORM = /^[A-Za-z0-9+/]{43}=$/;
const HEX_FORM = /^[0-9a-fA-F]{64}$/;

/** A new key: `mcp_` and 32 random bytes in base64url, 47 characters. */
export function generateKey(): string {
  return `mcp_${randomBytes(32).toString('base64url')}`;
}

/** SHA-256 of the whole key in standard base64, 44 characters: what the configuration keeps. */
export function hashKey(key: string): string {
  return hash('sha256', key, 'base64');
}

/**
 * The 32 bytes of a configured hash, or null when it is none. Forms: standard base64 (44 characters), and with the prefix
 * `sha256:` base64 or hex. Base64 must be canonical, so that no two texts mean the same digest.
 */
export function decodeKeyHash(text: string): Buffer | null {
  const bare = text.startsWith('sha256:') ? text.slice('sha256:'.length) : text;
  if (bare !== text && HEX_FORM.test(bare)) return Buffer.from(bare, 'hex');
  if (!BASE64_FORM.test(bare)) return null;
  const digest = Buffer.from(bare, 'base64');
  return digest.length === DIGEST_BYTES && digest.toString('base64') === bare ? digest : null;
}
