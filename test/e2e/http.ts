import { request as httpRequest, type Agent, type IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';

const HTTP_TIMEOUT_MS = 15_000;
const QUIET_MS = 15_000;

export interface RpcOptions {
  /** Sent as `Authorization: Bearer …`. */
  readonly key?: string;
  /** An undefined value removes a default header. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** Default: a connection of its own, so that no test depends on when an idle one is closed. */
  readonly agent?: Agent;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The body, or the last event of an event stream, when it is JSON; else undefined. Tests look into it freely. */
  readonly json: JsonValue;
  /** The `data` of every event, in order; empty for other answers. */
  readonly events: readonly JsonValue[];
}

/** Parsed JSON that tests walk into with `?.`; a missing step is undefined. */
export interface JsonTree {
  readonly [key: string]: JsonTree;
}
export type JsonValue = JsonTree & { readonly [index: number]: JsonTree };

function parseOrUndefined(text: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    return undefined as unknown as JsonValue;
  }
}

/** The `data` fields of an event stream. */
export function sseData(body: string): readonly string[] {
  return body
    .split(/\r?\n\r?\n/)
    .map((event) =>
      event
        .split(/\r?\n/)
        .filter((line) => line.startsWith('data:'))
        .map((line) => line.slice(5).replace(/^ /, ''))
        .join('\n'),
    )
    .filter((data) => data !== '');
}

function toAnswer(status: number, headers: IncomingHttpHeaders, body: string): HttpAnswer {
  const isStream = headers['content-type']?.startsWith('text/event-stream') === true;
  const events = isStream ? sseData(body).map(parseOrUndefined) : [];
  const json = isStream ? (events.at(-1) as JsonValue) : parseOrUndefined(body);
  return { status, headers, body, json, events };
}

/** One HTTP request, bounded in time. Certificates are not checked: tests make their own. */
export async function http(
  method: string,
  url: string,
  options: RpcOptions & { readonly body?: string | Buffer } = {},
): Promise<HttpAnswer> {
  const headers: Record<string, string> = {};
  if (options.key !== undefined) headers['authorization'] = `Bearer ${options.key}`;
  if (options.body !== undefined) headers['content-length'] = String(Buffer.byteLength(options.body));
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    if (value === undefined) delete headers[name.toLowerCase()];
    else headers[name.toLowerCase()] = value;
  }
  const request = url.startsWith('https:') ? httpsRequest : httpRequest;
  return await new Promise((resolve, reject) => {
    const sent = request(
      url,
      { method, headers, agent: options.agent ?? false, signal: options.signal, rejectUnauthorized: false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => resolve(toAnswer(response.statusCode ?? 0, response.headers, Buffer.concat(chunks).toString('utf8'))));
      },
    );
    sent.setTimeout(options.timeoutMs ?? HTTP_TIMEOUT_MS, () => sent.destroy(new Error(`${method} ${url}: no answer in time`)));
    sent.on('error', reject);
    sent.end(options.body);
  });
}

const RPC_HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

/** POSTs one JSON-RPC message; a string or Buffer goes out as it is. */
export async function rpc(url: string, message: unknown, options: RpcOptions = {}): Promise<HttpAnswer> {
  const body = typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message);
  return await http('POST', url, { ...options, headers: { ...RPC_HEADERS, ...options.headers }, body });
}

export function toolCall(name: string, args: unknown = {}, id: string | number = 1, meta?: unknown): Record<string, unknown> {
  const params = meta === undefined ? { name, arguments: args } : { name, arguments: args, _meta: meta };
  return { jsonrpc: '2.0', id, method: 'tools/call', params };
}

export function rpcRequest(method: string, params: unknown = {}, id: string | number = 1): Record<string, unknown> {
  return { jsonrpc: '2.0', id, method, params };
}

/** The text of a tool's answer. */
export function toolText(answer: HttpAnswer): string {
  return String(answer.json?.['result']?.['content']?.['0']?.['text']);
}

/** Writes bytes (several pieces: one packet each) and returns all that came back until the peer closed or `quietMs` passed. */
export async function rawExchange(
  port: number,
  pieces: readonly (string | Buffer)[],
  options: { readonly host?: string; readonly quietMs?: number; readonly gapMs?: number } = {},
): Promise<{ readonly text: string; readonly isClosed: boolean }> {
  const socket = connect({ port, host: options.host ?? '127.0.0.1', noDelay: true });
  const chunks: Buffer[] = [];
  return await new Promise((resolve, reject) => {
    const finish = (isClosed: boolean): void => {
      socket.destroy();
      resolve({ text: Buffer.concat(chunks).toString('latin1'), isClosed });
    };
    socket.setTimeout(options.quietMs ?? QUIET_MS, () => finish(false));
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('close', () => finish(true));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' || error.code === 'EPIPE' ? finish(true) : reject(error),
    );
    socket.on('connect', () => {
      pieces.forEach((piece, index) => setTimeout(() => socket.writable && socket.write(piece), index * (options.gapMs ?? 5)));
    });
  });
}
