import { SSRF_REFUSED } from './ssrf.ts';

/** The media type of a `Content-Type`, without parameters, in lower case. */
export function mediaType(header: string | undefined): string {
  return typeof header === 'string' ? (header.split(';')[0] ?? '').trim().toLowerCase() : '';
}

/** What the SSRF guard says is for operators and names the remedy; other messages add nothing to their code. */
export function reasonOf(error: Error, code: string): string {
  return code === SSRF_REFUSED ? error.message : code;
}
