/** Revisions with `initialize`, newest first. */
export const LEGACY_REVISIONS: readonly string[] = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'];

export const LATEST_LEGACY_REVISION: string = '2025-11-25';

/** The stateless revision, without `initialize`; not served yet. */
const MODERN_REVISION = '2026-07-28';

const LEGACY: ReadonlySet<string> = new Set(LEGACY_REVISIONS);

/**
 * The revision to answer an `initialize` with: the requested one when it is known, else the latest (MCP lifecycle,
 * version negotiation).
 */
export function negotiate(requested: string | null): string {
  return requested !== null && LEGACY.has(requested) ? requested : LATEST_LEGACY_REVISION;
}

/** Judges the `MCP-Protocol-Version` header; an absent one (empty) is fine and means 2025-03-26. */
export function versionHeaderVerdict(header: string): 'ok' | 'modern' | 'unsupported' {
  if (header === '' || LEGACY.has(header)) return 'ok';
  return header === MODERN_REVISION ? 'modern' : 'unsupported';
}
