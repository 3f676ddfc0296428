import { isIP } from 'node:net';

/** Checks of single texts, for the schema table: each says in words what a value must be, or returns null. */

const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}))*\.?$/;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/;
const SERVER_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const PREFIX = /^(?:\/|(?:\/[A-Za-z0-9._~-]+)+\/?)$/;

/** Strips the brackets that IPv6 literals have in URLs. */
export function bareHost(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}

export function checkHost(host: string): string | null {
  const bare = bareHost(host);
  if (isIP(bare) !== 0) return bare.includes('%') ? 'must not name a zone' : null;
  if (/^[0-9.]+$/.test(bare)) return 'is no valid IPv4 address';
  return bare === host && HOST_NAME.test(host) ? null : 'must be an IP address or a host name';
}

/** `10.0.0.0/8`, `fd00::/8` or a single address. */
export function checkCidr(text: string): string | null {
  const [address = '', prefix, ...rest] = text.split('/');
  const family = address.includes('%') ? 0 : isIP(address);
  if (family === 0 || rest.length > 0) return 'must be an address or a CIDR block such as 10.0.0.0/8';
  if (prefix === undefined) return null;
  const bits = family === 4 ? 32 : 128;
  return /^(?:0|[1-9]\d{0,2})$/.test(prefix) && Number(prefix) <= bits ? null : `must have a prefix length from 0 to ${bits}`;
}

/** A Host header value: `name` or `name:port`. A wildcard would switch the check off and is refused. */
export function checkHostPattern(text: string): string | null {
  const match = /^(\[[0-9A-Fa-f:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text);
  if (match?.[1] === undefined || checkHost(match[1]) !== null) return 'must be a host name or address, with or without a port';
  return match[2] === undefined || isPort(Number(match[2])) ? null : 'must have a port from 1 to 65535';
}

/** Where something listens: `host:port`, both written out. */
export function checkAddress(text: string): string | null {
  return checkHostPattern(text) ?? (/[^\]:]:\d+$|\]:\d+$/.test(text) ? null : 'must have a port, as in `10.0.0.5:3001`');
}

/** Host and port of what `checkAddress` accepts; the host without brackets. */
export function splitAddress(text: string): { readonly host: string; readonly port: number } {
  const at = text.lastIndexOf(':');
  return { host: bareHost(text.slice(0, at)), port: Number(text.slice(at + 1)) };
}

/** Characters that 256 bits take in base64. */
const MIN_SECRET_CHARS = 43;

/** A secret that keys are made of: whoever has heard what it protects can try guesses for as long as he likes. */
export function checkStrongSecret(secret: string): string | null {
  return secret.length >= MIN_SECRET_CHARS
    ? null
    : `must have at least ${MIN_SECRET_CHARS} characters, such as \`openssl rand -base64 32\` prints`;
}

function isPort(port: number): boolean {
  return port >= 1 && port <= 65535;
}

/** An origin as browsers send it (RFC 6454 section 6.2): `https://app.example`, no path, no wildcard. */
export function checkOrigin(text: string): string | null {
  if (text === '*') return 'must list origins: "*" would let any web page use the caller\'s credentials';
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) return 'must be an origin such as https://app.example';
  if (checkHost(url.hostname) !== null) return 'must name one host: wildcards are not understood';
  return url.origin === text.toLowerCase() ? null : `must be the bare origin ${url.origin}`;
}

/** A field name of HTTP (RFC 9110 section 5.1). */
export function checkToken(text: string): string | null {
  if (text === '*') return 'must be listed by name: "*" does not cover Authorization';
  return TOKEN.test(text) ? null : 'must be an HTTP header name';
}

export function checkMethod(text: string): string | null {
  return /^[A-Z]{1,20}$/.test(text) ? null : 'must be an HTTP method in capitals';
}

/** A field value of HTTP: no control characters, no white space at the ends. */
export function checkHeaderValue(text: string): string | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return /[\u0000-\u0008\u000A-\u001F\u007F]|[^\u0000-\u00FF]|^\s|\s$/.test(text) ? 'must be a header value: printable, one line' : null;
}

/** Headers that the gateway writes itself, or that belong to one connection. */
const OWN_HEADERS: ReadonlySet<string> = new Set(
  `host connection content-length content-type transfer-encoding te trailer upgrade keep-alive proxy-connection accept
   accept-encoding expect mcp-session-id mcp-protocol-version mcp-method mcp-name last-event-id cookie`.split(/\s+/),
);

export function checkUpstreamHeader(name: string): string | null {
  if (OWN_HEADERS.has(name.toLowerCase())) return 'is written by the gateway and cannot be configured';
  return checkToken(name);
}

export function checkVariableName(text: string): string | null {
  return /^[A-Za-z_][A-Za-z0-9_]{0,255}$/.test(text) ? null : 'must be an environment variable name';
}

/** Text for an argument vector or a path: the system ends it at a NUL. */
export function checkNoNul(text: string): string | null {
  return text.includes('\0') ? 'must not contain a NUL character' : null;
}

export function checkServerName(text: string): string | null {
  return SERVER_NAME.test(text) ? null : 'must be 1 to 64 of A-Z a-z 0-9 _ -, starting with a letter or digit';
}

/** It becomes part of tool names (MCP 2025-11-25, server/tools, Tool Names). */
export function checkSeparator(text: string): string | null {
  return /^[A-Za-z0-9_.-]{1,16}$/.test(text) ? null : 'must be 1 to 16 of A-Z a-z 0-9 _ . -';
}

export function checkPathPrefix(text: string): string | null {
  if (!PREFIX.test(text)) return 'must start with "/" and consist of plain segments (A-Z a-z 0-9 . _ ~ -)';
  return text.split('/').some((segment) => segment === '.' || segment === '..') ? 'must not contain "." or ".." segments' : null;
}

/** One spelling per prefix: `/fs/` is `/fs`. */
export function normalizePrefix(text: string): string {
  return text.length > 1 && text.endsWith('/') ? text.slice(0, -1) : text;
}

/** An identity's name, as it appears in log and audit. */
export function checkKeyId(text: string): string | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  const isClean = text.length <= 128 && text.trim() === text && !/[\u0000-\u001F\u007F-\u009F\u2028\u2029]/.test(text);
  return isClean ? null : 'must be at most 128 characters, without control characters or spaces at the ends';
}

export function checkRole(text: string): string | null {
  return /^[A-Za-z0-9_.:-]{1,64}$/.test(text) ? null : 'must be 1 to 64 of A-Z a-z 0-9 _ . : -';
}

/** An absolute http or https URL that carries no credentials and no fragment. Addresses are judged elsewhere (SSRF guard). */
export function checkUrl(text: string): string | null {
  if (/[\s\\]/.test(text) || !URL.canParse(text)) return 'must be an absolute URL';
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'must be an http or https URL';
  if (url.username !== '' || url.password !== '') return 'must not contain credentials: put them into headers';
  return url.hash === '' && !text.includes('#') ? null : 'must not contain a fragment';
}

/** A URL of the WebSocket or the http schemes. */
export function checkUpstreamUrl(text: string): string | null {
  const fault = checkUrl(text.replace(/^ws(s?):/i, 'http$1:'));
  return fault === null ? null : fault.replace('http or https', 'http, https, ws or wss');
}

/** https, or http to a loopback name. */
export function checkSecureUrl(text: string): string | null {
  const fault = checkUrl(text);
  if (fault !== null) return fault;
  const url = new URL(text);
  return url.protocol === 'https:' || isLoopback(bareHost(url.hostname)) ? null : 'must be https unless it is on loopback';
}

/** Whether a bind address is reachable from this machine only. */
export function isLoopback(host: string): boolean {
  const bare = bareHost(host)
    .toLowerCase()
    .replace(/^::ffff:/, '');
  if (isIP(bare) === 4) return bare.startsWith('127.');
  return bare === 'localhost' || (isIP(bare) === 6 && new URL(`http://[${bare}]`).hostname === '[::1]');
}
