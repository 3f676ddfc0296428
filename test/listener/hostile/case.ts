/** What the parsers of HTTP/1.1 are known to disagree about, by cause. */
export type Cause =
  | 'conflicting lengths'
  | 'empty framing header'
  | 'other transfer coding'
  | 'length and coding'
  | 'empty header name'
  | 'chunk extension'
  | 'chunk size'
  | 'chunk end'
  | 'trailers'
  | 'PROXY preamble'
  | 'length syntax'
  | 'header syntax'
  | 'bytes around a value'
  | 'repeated header'
  | 'host'
  | 'method'
  | 'target'
  | 'version'
  | 'body without a place'
  | 'expectation and coding'
  | 'aliased header'
  | 'pipelining';

/**
 * One byte sequence. `meaning` lists, in order, all that it may make the application run, as `METHOD path body` with
 * `/a` for the path of the case: nothing, or the first one, or the first two … Anything else that runs, and any
 * successful answer that is not the answer to one of these, was smuggled.
 */
export interface HostileCase {
  readonly name: string;
  readonly cause: Cause;
  /** Bytes as latin1, and numbers: wait for an answer, at most so many milliseconds. `{id}` stands for a tag of fixed length. */
  readonly segments: readonly (string | number)[];
  readonly meaning: readonly string[];
  /** Reached directly, the gateway must not run it, even where a proxy in front may tidy it up. */
  readonly isRefusedDirectly: boolean;
  /**
   * What µWS, reached directly, may make of it besides. Its chunk parser takes these bytes for the end of the body: one
   * request runs, and the connection closes before anything behind it could. Or it drops bytes around a length or a
   * coding, and the body ends where the rest of the value says.
   */
  readonly contained: readonly string[];
}

export const CRLF = '\r\n';
/** Long enough for an answer to have been sent on loopback. */
export const ANSWER_MS = 120;
export const HELLO = 'POST /a hello';
/** A complete request that nobody sent as one. */
export const SMUGGLED: string = `GET /{id}/smuggled HTTP/1.1${CRLF}Host: localhost${CRLF}${CRLF}`;
export const CHUNKED = 'Transfer-Encoding: chunked';

/** A POST with these header lines beside `Host`, and these bytes after the head. */
export function request(lines: readonly string[], rest = '', first = 'POST /{id}/a HTTP/1.1'): string {
  return [first, 'Host: localhost', ...lines, '', rest].join(CRLF);
}

export function hostile(cause: Cause, name: string, segments: readonly (string | number)[], meaning: readonly string[] = []): HostileCase {
  return { cause, name, segments, meaning, isRefusedDirectly: false, contained: [] };
}

/** A case that only a proxy may turn into something valid. */
export function refused(cause: Cause, name: string, segments: readonly (string | number)[], meaning: readonly string[]): HostileCase {
  return { cause, name, segments, meaning, isRefusedDirectly: true, contained: [] };
}

export function contained(hostileCase: HostileCase, ...runs: string[]): HostileCase {
  return { ...hostileCase, contained: runs };
}

/** Printable form of bytes for names of cases. */
export function shown(bytes: string): string {
  return JSON.stringify(bytes).slice(1, -1);
}
