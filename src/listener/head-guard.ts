import {
  BAD_CODING,
  BAD_EXPECTATION,
  BAD_FRAMING,
  BAD_HEADER,
  BAD_HOST,
  BODY_TOO_LARGE,
  HEAD_TOO_LARGE,
  LENGTH_REQUIRED,
  METHOD_NOT_ALLOWED,
  UNEXPECTED_BODY,
  UNKNOWN_CODING,
  UNKNOWN_METHOD,
} from '../core/errors.ts';
import type { RequestHead } from '../core/head.ts';
import type { Refusal } from '../core/refusal.ts';
import { type ClientAddress, createClientAddress } from './client-address.ts';
import * as header from './header-table.ts';
import type { ListenerSettings } from './settings.ts';
import { createSiteCheck, type SiteCheck } from './site-check.ts';
import { checkTarget } from './target.ts';

/** What the guard made of a head. */
export interface Verdict {
  /** Complete when nothing was refused; else what was read, for the audit. */
  readonly head: RequestHead;
  readonly refusal: Refusal | null;
  /** A POST framed by one valid Content-Length, whose sender did not ask to close: the only kind that keeps its connection. */
  readonly keepsConnection: boolean;
  /** The value of `Connection`, as received. */
  readonly connection: string;
}

/**
 * Reads one request head at a time: `begin`, `add` for each header line in order, `finish`. Synchronous and not
 * reentrant; an engine owns one and reuses it.
 */
export interface HeadGuard {
  /** `query` without its `?`; `version` is `1.1`, or what stood there. */
  begin(method: string, path: string, query: string, version: string): void;
  /** `name` in lower case. */
  add(name: string, value: string): void;
  finish(peerIp: string, isSecure: boolean): Verdict;
}

const LINE_SYNTAX_BYTES = 4;
const MAX_METHOD_CHARS = 16;
const SERVED: ReadonlySet<string> = new Set(['POST', 'GET', 'DELETE', 'OPTIONS', 'HEAD']);
const KNOWN: ReadonlySet<string> = new Set(['PUT', 'PATCH', 'CONNECT', 'TRACE']);
/** Fifteen digits stay exact as a number. */
const LENGTH = /^(?:0|[1-9]\d{0,14})$/;
/** Longer values are looked through each time, and none of them is kept. */
const MAX_COMPARED_CHARS = 256;
/** Not kept beyond their request. */
const SECRET: ReadonlySet<number> = new Set([header.AUTHORIZATION, header.COOKIE, header.X_API_KEY, header.MCP_SESSION_ID]);
const PRINTABLE = /^[\t\x20-\x7e]*$/;
const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;
const CLOSE_OPTION = /(?:^|,)[\t ]*close[\t ]*(?:,|$)/i;

/** The rules of RFC 9112 that matter for request smuggling, and stricter ones; both engines run it on every head. */
export function createHeadGuard(settings: ListenerSettings): HeadGuard {
  return new StrictHeadGuard(settings);
}

class StrictHeadGuard implements HeadGuard {
  readonly #settings: ListenerSettings;
  readonly #site: SiteCheck;
  readonly #clientAddress: ClientAddress;
  /** Values by slot; the empty string is both absent and empty, `#seen` tells them apart. */
  readonly #values: string[] = Array.from({ length: header.SLOTS }, () => '');
  /** By slot, the last value found printable: most requests say what the one before said, which costs less to compare than to look through. */
  readonly #printable: string[] = Array.from({ length: header.SLOTS }, () => '');
  /** One bit per slot. */
  #seen = 0;
  /** Names of further `mcp-*` headers, each once. */
  #otherMcp: string[] | null = null;
  #mcpParams: string[] | null = null;
  #method = '';
  #path = '';
  #query = '';
  #version = '';
  #lines = 0;
  #bytes = 0;
  #fault: Refusal | null = null;

  constructor(settings: ListenerSettings) {
    this.#settings = settings;
    this.#site = createSiteCheck(settings);
    this.#clientAddress = createClientAddress(settings.trustedProxies);
  }

  begin(method: string, path: string, query: string, version: string): void {
    // Not `fill`, which leaves compiled code.
    for (let slot = 0, seen = this.#seen; seen !== 0; slot++, seen >>>= 1) if ((seen & 1) === 1) this.#values[slot] = '';
    this.#seen = 0;
    this.#otherMcp = null;
    this.#mcpParams = null;
    this.#method = method;
    this.#path = path;
    this.#query = query;
    this.#version = version;
    this.#lines = 0;
    this.#bytes = 0;
    this.#fault = null;
  }

  add(name: string, value: string): void {
    this.#lines += 1;
    this.#bytes += name.length + value.length + LINE_SYNTAX_BYTES;
    const slot = header.headerSlot(name);
    if (slot < 0) this.#fault = BAD_HEADER;
    else if (slot < header.SLOTS) this.#keep(slot, value);
    else if (slot === header.MCP_OTHER) this.#noteMcp(name, value);
  }

  finish(peerIp: string, isSecure: boolean): Verdict {
    const isChunked = this.#has(header.TRANSFER_ENCODING);
    const refusal = this.#framing() ?? this.#sites();
    const head = this.#head(peerIp, isSecure, isChunked);
    const connection = this.#values[header.CONNECTION] ?? '';
    const keepsConnection = refusal === null && head.method === 'POST' && !isChunked && !CLOSE_OPTION.test(connection);
    return { head, refusal, keepsConnection, connection };
  }

  #has(slot: number): boolean {
    return (this.#seen & (1 << slot)) !== 0;
  }

  #keep(slot: number, value: string): void {
    if (value !== this.#printable[slot]) this.#look(slot, value);
    if (!this.#has(slot)) {
      this.#seen |= 1 << slot;
      this.#values[slot] = value;
    } else if (slot < header.SINGLETONS) {
      this.#fault = BAD_HEADER;
    } else {
      this.#values[slot] += `,${value}`;
    }
  }

  #look(slot: number, value: string): void {
    if (!PRINTABLE.test(value)) this.#fault = BAD_HEADER;
    else if (value.length <= MAX_COMPARED_CHARS && !SECRET.has(slot)) this.#printable[slot] = value;
  }

  #noteMcp(name: string, value: string): void {
    this.#otherMcp ??= [];
    if (this.#otherMcp.includes(name) || !PRINTABLE.test(value)) this.#fault = BAD_HEADER;
    this.#otherMcp.push(name);
    if (name.startsWith('mcp-param-')) (this.#mcpParams ??= []).push(name, value);
  }

  /** Where the request ends, and whether its parts are well formed. */
  #framing(): Refusal | null {
    if (!SERVED.has(this.#method)) return KNOWN.has(this.#method) ? METHOD_NOT_ALLOWED : UNKNOWN_METHOD;
    const target = checkTarget(this.#path, this.#query);
    if (target !== null) return target;
    if (this.#lines > this.#settings.maxHeaderLines || this.#bytes > this.#settings.maxHeadBytes) return HEAD_TOO_LARGE;
    if (this.#fault !== null) return this.#fault;
    if (this.#version !== '1.1' && this.#version !== '1.0') return BAD_FRAMING;
    const host = this.#values[header.HOST] ?? '';
    return (host === '' ? BAD_HOST : this.#site.hostSyntax(host)) ?? this.#body() ?? this.#codings();
  }

  #body(): Refusal | null {
    const isPost = this.#method === 'POST';
    if (this.#has(header.TRANSFER_ENCODING)) return this.#chunked(isPost);
    if (!this.#has(header.CONTENT_LENGTH)) return isPost ? LENGTH_REQUIRED : null;
    const length = this.#values[header.CONTENT_LENGTH] ?? '';
    if (!LENGTH.test(length)) return BAD_FRAMING;
    if (!isPost) return length === '0' ? null : UNEXPECTED_BODY;
    return Number(length) > this.#settings.maxRequestBytes ? BODY_TOO_LARGE : null;
  }

  #chunked(isPost: boolean): Refusal | null {
    if (this.#has(header.CONTENT_LENGTH) || this.#version !== '1.1') return BAD_FRAMING;
    if (this.#values[header.TRANSFER_ENCODING] !== 'chunked') return UNKNOWN_CODING;
    if (!isPost) return UNEXPECTED_BODY;
    return this.#settings.chunkedBodies === 'refuse' ? LENGTH_REQUIRED : null;
  }

  #codings(): Refusal | null {
    if (this.#has(header.EXPECT) && this.#values[header.EXPECT]?.toLowerCase() !== '100-continue') return BAD_EXPECTATION;
    return this.#has(header.CONTENT_ENCODING) ? BAD_CODING : null;
  }

  #sites(): Refusal | null {
    const host = this.#site.host((this.#values[header.HOST] ?? '').toLowerCase());
    if (host !== null || !this.#has(header.ORIGIN)) return host;
    return this.#site.origin(this.#values[header.ORIGIN] ?? '');
  }

  #head(peerIp: string, isSecure: boolean, isChunked: boolean): RequestHead {
    const values = this.#values;
    const requestId = values[header.X_REQUEST_ID] ?? '';
    const length = values[header.CONTENT_LENGTH] ?? '';
    return {
      method: this.#method.length <= MAX_METHOD_CHARS ? this.#method : this.#method.slice(0, MAX_METHOD_CHARS),
      path: this.#path,
      query: this.#query,
      peerIp,
      clientIp: this.#clientAddress(peerIp, values[header.X_FORWARDED_FOR] ?? '', values[header.FORWARDED] ?? ''),
      secure: isSecure,
      entrance: this.#settings.entrance,
      host: (values[header.HOST] ?? '').toLowerCase(),
      origin: values[header.ORIGIN] ?? '',
      authorization: values[header.AUTHORIZATION] ?? '',
      xApiKey: values[header.X_API_KEY] ?? '',
      contentType: values[header.CONTENT_TYPE] ?? '',
      accept: values[header.ACCEPT] ?? '',
      sessionId: values[header.MCP_SESSION_ID] ?? '',
      protocolVersion: values[header.MCP_PROTOCOL_VERSION] ?? '',
      mcpMethod: values[header.MCP_METHOD] ?? '',
      mcpName: values[header.MCP_NAME] ?? '',
      mcpParams: this.#mcpParams,
      lastEventId: values[header.LAST_EVENT_ID] ?? '',
      requestId: REQUEST_ID.test(requestId) ? requestId : '',
      accessControlRequestMethod: values[header.ACCESS_CONTROL_REQUEST_METHOD] ?? '',
      accessControlRequestHeaders: values[header.ACCESS_CONTROL_REQUEST_HEADERS] ?? '',
      bodyBytes: isChunked ? -1 : LENGTH.test(length) ? Number(length) : 0,
    };
  }
}
