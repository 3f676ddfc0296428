import * as v2 from '@modelcontextprotocol/client';
import { StdioClientTransport as V2StdioTransport } from '@modelcontextprotocol/client/stdio';
import { Client as V1Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as V1StdioTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as V1HttpTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport as V1Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { afterAll } from 'vitest';

/** Where a client connects: a URL, with the key when it is the gateway's, or a program to start. */
export type Target = HttpTarget | StdioTarget;

export interface HttpTarget {
  readonly url: string;
  readonly key?: string;
  /** Sees every request of the client and its answer. */
  readonly fetch?: typeof fetch;
}

export interface StdioTarget {
  readonly command: string;
  readonly args: readonly string[];
}

export interface ToolCall {
  readonly name: string;
  readonly arguments?: Record<string, unknown>;
  readonly _meta?: Record<string, unknown>;
}

export interface CallOptions {
  readonly onprogress?: (progress: { progress: number; total?: number | undefined; message?: string | undefined }) => void;
  readonly signal?: AbortSignal;
  readonly timeout?: number;
}

/** What both generations of the official client offer, as far as the gateway relays it. */
export interface PeerClient {
  getServerCapabilities(): object | undefined;
  getServerVersion(): object | undefined;
  getInstructions(): string | undefined;
  ping(): Promise<object>;
  listTools(params?: {
    cursor?: string;
  }): Promise<{ readonly tools: readonly { readonly name: string }[]; readonly nextCursor?: string | undefined }>;
  listResources(params?: { cursor?: string }): Promise<{ readonly resources: readonly { readonly uri: string }[] }>;
  listResourceTemplates(): Promise<object>;
  readResource(params: { uri: string }): Promise<object>;
  listPrompts(): Promise<{ readonly prompts: readonly { readonly name: string }[] }>;
  getPrompt(params: { name: string; arguments?: Record<string, string> }): Promise<object>;
  complete(params: {
    ref: { type: 'ref/prompt'; name: string } | { type: 'ref/resource'; uri: string };
    argument: { name: string; value: string };
    context?: { arguments: Record<string, string> };
  }): Promise<object>;
  setLoggingLevel(level: 'debug' | 'error'): Promise<object>;
  subscribeResource(params: { uri: string }): Promise<object>;
  unsubscribeResource(params: { uri: string }): Promise<object>;
  sendRootsListChanged(): Promise<void>;
  close(): Promise<void>;
}

export interface Peer {
  readonly client: PeerClient;
  /** What the client reported beside its answers: a healthy one reports nothing. */
  readonly errors: readonly Error[];
  /** The revision that client and server agreed on, as the client sees it. */
  readonly revision: string | undefined;
  /** `notifications/message` that arrived. */
  readonly logs: readonly unknown[];
  callTool(call: ToolCall, options?: CallOptions): Promise<Readonly<Record<string, unknown>>>;
}

export interface PeerOptions {
  /** What the client says it can be asked; default nothing. */
  readonly capabilities?: { readonly roots?: { readonly listChanged: boolean }; readonly sampling?: object };
  /** The only revision that the client knows (SDK 2). */
  readonly revision?: string;
}

export type Connect = (target: Target, options?: PeerOptions) => Promise<Peer>;

const INFO = { name: 'peer', version: '1.0.0' };
const open = new Set<PeerClient>();
afterAll(async () => {
  await Promise.allSettled([...open].map((client) => client.close()));
});

function httpOptions(target: HttpTarget): { requestInit?: RequestInit; fetch?: typeof fetch } {
  return {
    ...(target.key !== undefined && { requestInit: { headers: { authorization: `Bearer ${target.key}` } } }),
    ...(target.fetch !== undefined && { fetch: target.fetch }),
  };
}

function stdioOptions(target: StdioTarget): { command: string; args: string[]; stderr: 'ignore' } {
  return { command: target.command, args: [...target.args], stderr: 'ignore' };
}

/** `@modelcontextprotocol/sdk`, the client of most programs today. */
export async function connectV1(target: Target, { capabilities = {} }: PeerOptions = {}): Promise<Peer> {
  const client = new V1Client(INFO, { capabilities });
  const [errors, logs] = [[] as Error[], [] as unknown[]];
  client.onerror = (error) => void errors.push(error);
  client.fallbackNotificationHandler = async (notification) => void logs.push(notification);
  const transport =
    'url' in target ? new V1HttpTransport(new URL(target.url), httpOptions(target)) : new V1StdioTransport(stdioOptions(target));
  await client.connect(transport as V1Transport);
  open.add(client);
  const revision = 'protocolVersion' in transport ? String(transport.protocolVersion) : undefined;
  return { client, errors, logs, revision, callTool: (call, options) => client.callTool({ ...call }, undefined, options) };
}

async function connectV2(
  mode: 'legacy' | 'auto' | { readonly pin: string },
  target: Target,
  { capabilities = {}, revision }: PeerOptions = {},
): Promise<Peer> {
  const only = revision === undefined ? {} : { supportedProtocolVersions: [revision] };
  const client = new v2.Client(INFO, { capabilities, versionNegotiation: { mode }, ...only });
  const [errors, logs] = [[] as Error[], [] as unknown[]];
  client.onerror = (error) => void errors.push(error);
  client.fallbackNotificationHandler = async (notification) => void logs.push(notification);
  const transport =
    'url' in target
      ? new v2.StreamableHTTPClientTransport(new URL(target.url), httpOptions(target))
      : new V2StdioTransport(stdioOptions(target));
  await client.connect(transport);
  open.add(client);
  const agreed = client.getNegotiatedProtocolVersion();
  return { client, errors, logs, revision: agreed, callTool: (call, options) => client.callTool({ ...call }, options) };
}

/** `@modelcontextprotocol/client` as it is by default: `initialize` first. */
export async function connectV2Legacy(target: Target, options?: PeerOptions): Promise<Peer> {
  return await connectV2('legacy', target, options);
}

/** `@modelcontextprotocol/client` that tries revision 2026-07-28 first. */
export async function connectV2Auto(target: Target, options?: PeerOptions): Promise<Peer> {
  return await connectV2('auto', target, options);
}

/** `@modelcontextprotocol/client` that knows revision 2026-07-28 only. */
export async function connectV2Modern(target: Target, options?: PeerOptions): Promise<Peer> {
  return await connectV2({ pin: '2026-07-28' }, target, options);
}

export const CLIENTS: readonly (readonly [string, Connect])[] = [
  ['the SDK client', connectV1],
  ['the client of SDK 2', connectV2Legacy],
  ['the client of SDK 2 that asks for the newest revision', connectV2Auto],
];
