import { canonicalJson } from './build-snapshot.ts';

/** What `keygen` writes for a new caller. */
export interface ApiKeyEntry {
  readonly id: string;
  /** In the 44 character form. */
  readonly keyHash: string;
  /** Null: not limited, which is written out as `["*"]`. */
  readonly allowedTools: readonly string[] | null;
  readonly rateLimit?: number;
  readonly expiresAt?: string;
  readonly roles?: readonly string[];
}

export type EntryMember = readonly [name: string, value: string | number | readonly string[]];

/** The members of the entry in the order in which they are written. */
export function entryMembers(entry: ApiKeyEntry): readonly EntryMember[] {
  const members: EntryMember[] = [
    ['id', entry.id],
    ['key_hash', entry.keyHash],
    ['allowed_tools', entry.allowedTools ?? ['*']],
  ];
  if (entry.rateLimit !== undefined) members.push(['rate_limit', entry.rateLimit]);
  if (entry.expiresAt !== undefined) members.push(['expires_at', entry.expiresAt]);
  if (entry.roles !== undefined && entry.roles.length > 0) members.push(['roles', entry.roles]);
  return members;
}

/** A value as TOML, YAML (flow style) and JSON all read it. */
export function literal(value: EntryMember[1]): string {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return quoted(value);
  return `[${value.map(quoted).join(', ')}]`;
}

/** A double-quoted string; JSON's escapes are understood by all three, and what JSON leaves as it is but they do not is escaped too. */
export function quoted(text: string): string {
  const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(text).replace(/[\u007F-\u009F\u2028\u2029\uFEFF]/g, escaped);
}

/** Whether two trees of plain data hold the same, whatever the order of their keys. */
export function isSameData(left: unknown, right: unknown): boolean {
  return canonicalJson(left) === canonicalJson(right);
}
