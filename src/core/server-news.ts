import type { ListKind } from './upstream.ts';

/** What a server of revision 2026-07-28 may tell: a list is another now, or a resource is. */
export type ServerChange = { readonly list: ListKind } | { readonly uri: string };

/** What somebody wants to be told of a server. */
export interface NewsInterest {
  readonly lists: readonly ListKind[];
  /** At most `MAX_NEWS_URIS`, each of at most `MAX_NEWS_URI_CHARS`. */
  readonly uris: readonly string[];
  /** Resources that were named as well, of which `uris` has no room; absent for none. */
  readonly beyond?: number;
}

/**
 * What one worker tells the others, through the primary, of servers that each of them reaches by a child or connection of its own:
 * what the own one said, and what its clients want to be told.
 */
export type ServerNews = { readonly server: string } & (
  | { readonly type: 'change'; readonly change: ServerChange }
  | { readonly type: 'interest'; readonly worker: number; readonly interest: NewsInterest }
);

export const MAX_NEWS_URIS: number = 1024;
export const MAX_NEWS_URI_CHARS: number = 2048;

/** The name of a change, by which equal ones are recognised. */
export function changeKey(change: ServerChange): string {
  return 'list' in change ? change.list : ` ${change.uri}`;
}

export function wants({ lists, uris }: NewsInterest, change: ServerChange): boolean {
  return 'list' in change ? lists.includes(change.list) : uris.includes(change.uri);
}
