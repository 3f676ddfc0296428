/** A JSON-RPC message as a server of a test receives it. */
export interface Received {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: unknown;
  readonly error?: { readonly code: number };
}

/** An MCP server of a test, over some transport, on 127.0.0.1. */
export interface MessagePeer {
  readonly url: string;
  /** What it was sent, over all connections. */
  readonly received: Received[];
  /** Headers of each request that opened a connection. */
  readonly openings: Record<string, unknown>[];
  /** Sends one message, or what is none, on every connection. */
  say(message: object | string): void;
  /** Breaks every connection. */
  drop(): void;
  /** Dies; `listen` brings it back on its port. */
  stop(): Promise<void>;
  listen(): Promise<unknown>;
}

const SERVER = { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 'fixture', version: '1.2.3' } };

/**
 * Answers as the tests want: `echo` its params, `sleep` for `ms` before `value`, `steps` of progress, `never`. Everything else
 * is answered with an empty result.
 */
export function respond({ id, method, params = {} }: Received, send: (message: object) => void): void {
  if (id === undefined || method === undefined || method === 'never') return;
  const reply = (result: unknown): void => send({ jsonrpc: '2.0', id, result });
  if (method === 'initialize') return reply(SERVER);
  if (method === 'echo') return reply(params);
  if (method === 'fail') return send({ jsonrpc: '2.0', id, error: { code: -32_602, message: 'no' } });
  if (method === 'sleep') return void setTimeout(() => reply(params['value']), Number(params['ms']));
  if (method === 'steps') {
    const { progressToken } = params['_meta'] as { progressToken: unknown };
    for (const progress of [1, 2]) send({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken, progress } });
  }
  reply({});
}
