/** A place in a merged list: at this member, behind this cursor of its own. */
export interface MergedCursor {
  readonly member: string;
  /** Null: at its first page. */
  readonly cursor: string | null;
  /** Pages of this member that came before. */
  readonly pages: number;
}

/** Longest cursor that is handed out; a member whose own are longer has only one page here. */
const MAX_CHARS = 6_000;
const PREFIX = 'm1.';

/** The cursor for clients; null when the member's own is too long to be handed out. */
export function encodeCursor({ member, cursor, pages }: MergedCursor): string | null {
  const text = PREFIX + Buffer.from(JSON.stringify([member, cursor, pages])).toString('base64url');
  return text.length > MAX_CHARS ? null : text;
}

/**
 * Reads a cursor that a client brings. It proves nothing: whoever makes one up reaches what they may ask the member for directly,
 * so the caller checks the member. Null for what `encodeCursor` would not have written.
 */
export function decodeCursor(text: string): MergedCursor | null {
  if (text.length > MAX_CHARS || !text.startsWith(PREFIX)) return null;
  const parts = parsed(Buffer.from(text.slice(PREFIX.length), 'base64url').toString('utf8'));
  if (!Array.isArray(parts) || parts.length !== 3) return null;
  const [member, cursor, pages] = parts as readonly unknown[];
  if (typeof member !== 'string' || (cursor !== null && typeof cursor !== 'string')) return null;
  if (typeof pages !== 'number' || !Number.isSafeInteger(pages) || pages < 0) return null;
  const found: MergedCursor = { member, cursor, pages };
  return encodeCursor(found) === text ? found : null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
