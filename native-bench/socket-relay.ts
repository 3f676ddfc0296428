import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { App, us_socket_local_port } from 'uWebSockets.js';
import type { HttpResponse } from 'uWebSockets.js';
import { ResponseReader } from '../perf/lib/response-reader.ts';
import { startServer, startUpstream } from '../perf/lib/upstream.ts';
import { measureServers } from './measure-server.ts';

/**
 * Bounds: what relaying costs in this runtime before anything is checked. `bytes` ties each client's socket to one of the upstream
 * and reads nothing: no relay on Node's sockets is cheaper. `requests` has µWS in front and kept plain sockets behind, as
 * the gateway does, and knows where a request ends: what is left beside it is ours.
 */
function relayBytes(port: number): void {
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ host: '127.0.0.1', port, noDelay: true });
    client.pipe(upstream).pipe(client);
    client.on('error', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
  });
  server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
}

interface Kept {
  readonly socket: Socket;
  client: HttpResponse | null;
}

/** One request at a time on each socket; as many sockets as requests are in progress at most. */
class Relay {
  readonly #port: number;
  readonly #idle: Kept[] = [];

  constructor(port: number) {
    this.#port = port;
  }

  send(client: HttpResponse, body: Buffer): void {
    const kept = this.#idle.pop() ?? this.#connect();
    kept.client = client;
    kept.socket.cork();
    kept.socket.write(
      `POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`,
      'latin1',
    );
    kept.socket.write(body);
    kept.socket.uncork();
  }

  #connect(): Kept {
    const socket = connect({ host: '127.0.0.1', port: this.#port, noDelay: true });
    const kept: Kept = { socket, client: null };
    const reader = new ResponseReader((_status, body) => {
      const { client } = kept;
      this.#idle.push(kept);
      client?.cork(() => void client.writeHeader('content-type', 'application/json').end(body));
    });
    socket.on('data', (chunk) => reader.push(chunk));
    socket.on('error', (error) => {
      throw error;
    });
    return kept;
  }
}

function relayRequests(port: number): void {
  const relay = new Relay(port);
  App()
    .post('/*', (client) => {
      const chunks: Buffer[] = [];
      client.onAborted(() => undefined);
      client.onData((chunk, isLast) => {
        // The library takes its memory back behind the callback.
        chunks.push(Buffer.from(Buffer.from(chunk)));
        if (isLast) relay.send(client, chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks));
      });
    })
    .listen('127.0.0.1', 0, (socket) => {
      if (socket === false) throw new Error('no port to listen on');
      console.log(us_socket_local_port(socket));
    });
}

const [mode, port] = process.argv.slice(2);
if (mode === 'bytes' || mode === 'requests') {
  (mode === 'bytes' ? relayBytes : relayRequests)(Number(port));
  // Its parent is gone.
  process.stdin.on('end', () => process.exit()).resume();
} else {
  await measureServers('bare relays, one thread', async (bench) => {
    const upstream = await startUpstream(bench);
    const self = fileURLToPath(import.meta.url);
    const behind = new URL(upstream.url).port;
    return [
      upstream,
      await startServer(bench, 'bytes', [self, 'bytes', behind]),
      await startServer(bench, 'requests', [self, 'requests', behind]),
    ];
  });
}
