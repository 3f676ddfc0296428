/** Revisions with `initialize`, newest first. */
export const LEGACY_REVISIONS: readonly string[] = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'];

export const LATEST_LEGACY_REVISION: string = '2025-11-25';

/** Those whose streams may be resumed (Transports, Resumability and Redelivery). */
export const RESUMABLE_REVISIONS: ReadonlySet<string> = new Set(['2025-11-25', '2025-06-18', '2025-03-26']);

/** The stateless revision, without `initialize`. */
export const MODERN_REVISION: string = '2026-07-28';

const LEGACY: ReadonlySet<string> = new Set(LEGACY_REVISIONS);

/**
 * The revision to answer an `initialize` with: the requested one when it is known, else the latest (MCP lifecycle,
 * version negotiation).
 */
export function negotiate(requested: string | null): string {
  return requested !== null && LEGACY.has(requested) ? requested : LATEST_LEGACY_REVISION;
}

/** Whether the `MCP-Protocol-Version` header names a revision with `initialize`; an absent one (empty) does: 2025-03-26. */
export function isLegacyHeader(header: string): boolean {
  return header === '' || LEGACY.has(header);
}
