import { SSRF_REFUSED } from './ssrf.ts';

let lastHeader: string | undefined;
let lastType = '';

/** The media type of a `Content-Type`, without parameters, in lower case. The last one is kept: an upstream hardly sends another. */
export function mediaType(header: string | undefined): string {
  if (header !== lastHeader) {
    lastHeader = header;
    lastType = typeof header === 'string' ? (header.split(';')[0] ?? '').trim().toLowerCase() : '';
  }
  return lastType;
}

/** What the SSRF guard says is for operators and names the remedy; other messages add nothing to their code. */
export function reasonOf(error: Error, code: string): string {
  return code === SSRF_REFUSED ? error.message : code;
}
