import {
  startHttpUpstream,
  type HttpUpstream,
  type HttpUpstreamOptions,
  type UpstreamAnswer,
  type UpstreamRequest,
} from './http-upstream.ts';

export interface SessionUpstream extends HttpUpstream {
  /** Ids that it gave out, oldest first, those of the gateway's own connections among them. */
  readonly given: readonly string[];
  /** Ids of the sessions whose `initialize` named this client, and that it has not forgotten. */
  sessionsOf(client: string): readonly string[];
  /** Forgets a session. */
  forget(id: string): void;
}

/** A Streamable HTTP server that keeps sessions: 404 for ids it does not know, 400 for none. Otherwise it answers as told. */
export async function startSessionUpstream(options: HttpUpstreamOptions = {}): Promise<SessionUpstream> {
  const sessions = new Map<string, string>();
  const given: string[] = [];
  const begin = (request: UpstreamRequest): UpstreamAnswer => {
    const params = request.message['params'] as { protocolVersion: string; clientInfo: { name: string } };
    const id = `upstream-session-${given.length + 1}`;
    given.push(id);
    sessions.set(id, params.clientInfo.name);
    const result = {
      protocolVersion: params.protocolVersion,
      capabilities: options.capabilities ?? { tools: { listChanged: true }, logging: {}, resources: { subscribe: true }, tasks: {} },
      serverInfo: { name: 'session-upstream', version: '1.2.3' },
    };
    return { headers: { 'mcp-session-id': id }, body: { jsonrpc: '2.0', id: request.message['id'], result } };
  };
  const upstream = await startHttpUpstream({
    ...options,
    answer: async (request) => {
      const id = String(request.headers['mcp-session-id']);
      if (request.message['method'] === 'initialize') return (await options.answer?.(request)) ?? begin(request);
      if (request.headers['mcp-session-id'] === undefined) return { status: 400, body: '' };
      if (!sessions.has(id)) return { status: 404, body: '' };
      if (request.method === 'DELETE') sessions.delete(id);
      if (request.method === 'DELETE') return { status: 200, body: '' };
      return await options.answer?.(request);
    },
  });
  return {
    ...upstream,
    given,
    sessionsOf: (client) => [...sessions].filter(([, name]) => name === client).map(([id]) => id),
    forget: (id) => void sessions.delete(id),
  };
}
