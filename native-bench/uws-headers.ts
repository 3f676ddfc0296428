import { App, us_listen_socket_close, us_socket_local_port } from 'uWebSockets.js';
import type { HttpRequest } from 'uWebSockets.js';

/**
 * Bounds: what reading the head of a request costs across the border between the library and JavaScript. A request can be read
 * inside its callback only, so that is where the loop stands; the request is that of an MCP client.
 */
const BATCH = 200;
const BATCHES = 100;
const HEADERS = {
  authorization: `Bearer mcp_${'x'.repeat(43)}`,
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  'mcp-protocol-version': '2025-06-18',
  'mcp-session-id': '01997b3e-0000-7000-8000-000000000000',
  'user-agent': 'an-mcp-client/1.0',
};
const NAMES = Object.keys(HEADERS);

let seen = 0;
const count = (name: string, value: string): void => void (seen += name.length + value.length);

const WAYS: readonly (readonly [string, (request: HttpRequest) => void])[] = [
  ['method and path', (request) => void (seen += request.getCaseSensitiveMethod().length + request.getUrl().length)],
  ['one header by name', (request) => void (seen += request.getHeader('authorization').length)],
  ['one absent header by name', (request) => void (seen += request.getHeader('x-absent').length)],
  [`${NAMES.length} headers by name`, (request) => NAMES.forEach((name) => void (seen += request.getHeader(name).length))],
  ['all headers in turn', (request) => request.forEach(count)],
];

/** Median time of one reading. */
function medianNs(request: HttpRequest, read: (request: HttpRequest) => void): number {
  const batches = Array.from({ length: BATCHES }, () => {
    const startMs = performance.now();
    for (let i = 0; i < BATCH; i++) read(request);
    return ((performance.now() - startMs) * 1e6) / BATCH;
  });
  return batches.toSorted((a, b) => a - b)[BATCHES >> 1] as number;
}

App()
  .post('/mcp', (response, request) => {
    let headers = 0;
    request.forEach(() => void (headers += 1));
    for (const [, read] of WAYS) medianNs(request, read);
    const rows = WAYS.map(([what, read]) => ({ read: what, 'median ns': Math.round(medianNs(request, read)) }));
    response.end();
    console.log(`reading a head of ${headers} headers (Node ${process.versions.node})`);
    console.table(rows);
  })
  .listen('127.0.0.1', 0, (socket) => {
    if (socket === false) throw new Error('no port to listen on');
    void fetch(`http://127.0.0.1:${us_socket_local_port(socket)}/mcp`, { method: 'POST', headers: HEADERS, body: '{}' }).then(() => {
      us_listen_socket_close(socket);
      if (seen === 0) throw new Error('nothing was read');
      process.exit();
    });
  });
