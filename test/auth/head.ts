import type { RequestHead } from '../../src/core/head.ts';

/** A guarded head as a listener makes it, with what a test cares about. */
export function headOf(changes: Partial<RequestHead> = {}): RequestHead {
  return {
    method: 'POST',
    path: '/mcp',
    query: '',
    peerIp: '127.0.0.1',
    clientIp: '127.0.0.1',
    secure: false,
    entrance: 'main',
    host: '127.0.0.1:3000',
    origin: '',
    authorization: '',
    xApiKey: '',
    contentType: 'application/json',
    accept: 'application/json, text/event-stream',
    sessionId: '',
    protocolVersion: '',
    mcpMethod: '',
    mcpName: '',
    mcpParams: null,
    lastEventId: '',
    requestId: '',
    accessControlRequestMethod: '',
    accessControlRequestHeaders: '',
    bodyBytes: 2,
    ...changes,
  };
}
