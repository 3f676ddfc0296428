import type { UpstreamAnswer, UpstreamRequest } from './http-upstream.ts';

/** The revision without sessions. */
export const MODERN = '2026-07-28';
const PREFIX = 'io.modelcontextprotocol/';

/** `_meta` of a request of that revision. */
export function modernMeta(extra: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    [`${PREFIX}protocolVersion`]: MODERN,
    [`${PREFIX}clientCapabilities`]: {},
    [`${PREFIX}clientInfo`]: { name: 'tester', version: '1' },
    ...extra,
  };
}

/** A request that stands for itself. */
export function modernRequest(method: string, params: object = {}, id: string | number = 1): Record<string, unknown> {
  return { jsonrpc: '2.0', id, method, params: { ...params, _meta: modernMeta() } };
}

export function modernHeaders(method: string, name?: string): Record<string, string> {
  return { 'mcp-protocol-version': MODERN, 'mcp-method': method, ...(name === undefined ? {} : { 'mcp-name': name }) };
}

/** What a server of that revision says of itself. */
export function discoverResult(capabilities: object = { tools: { listChanged: true } }): Record<string, unknown> {
  return {
    resultType: 'complete',
    supportedVersions: [MODERN],
    capabilities,
    instructions: 'Say "please".',
    ttlMs: 1000,
    cacheScope: 'public',
    _meta: { [`${PREFIX}serverInfo`]: { name: 'modern-upstream', version: '3.2.1' } },
  };
}

/** Makes a scripted server one of that revision: `initialize` is refused, what `answer` leaves alone is answered plainly. */
export function modernAnswers(
  answer: (request: UpstreamRequest) => UpstreamAnswer | undefined = () => undefined,
): (request: UpstreamRequest) => UpstreamAnswer | undefined {
  return (request) => {
    const { id, method } = request.message;
    const own = answer(request);
    if (own !== undefined) return own;
    if (method === 'server/discover') return { body: { jsonrpc: '2.0', id, result: discoverResult() } };
    if (request.headers['mcp-protocol-version'] === MODERN) return undefined;
    const data = { supported: [MODERN], requested: 'unknown' };
    return {
      status: 400,
      body: { jsonrpc: '2.0', id: id ?? null, error: { code: -32022, message: 'Unsupported protocol version', data } },
    };
  };
}
