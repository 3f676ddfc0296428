const BASE64 = /^[A-Za-z0-9+/]{43}=$/;
const HEX = /^[0-9A-Fa-f]{64}$/;

/**
 * The one form in which key hashes are kept: standard base64 of the SHA-256, 44 characters. Also read: `sha256:` with
 * 64 hex digits or that base64. Null for anything else, including base64 with stray low bits.
 */
export function normalizeKeyHash(text: string): string | null {
  const body = text.startsWith('sha256:') ? text.slice('sha256:'.length) : text;
  if (body !== text && HEX.test(body)) return Buffer.from(body, 'hex').toString('base64');
  return BASE64.test(body) && Buffer.from(body, 'base64').toString('base64') === body ? body : null;
}

export function checkKeyHash(text: string): string | null {
  if (text.startsWith('mcp_')) return 'holds a key: write its hash (mcp-guard hash-key), and replace that key, it has been exposed';
  return normalizeKeyHash(text) === null ? 'must be the base64 SHA-256 of the key (44 characters), or sha256: with hex or base64' : null;
}
