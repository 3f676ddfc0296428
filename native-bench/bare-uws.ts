import { App, us_socket_local_port } from 'uWebSockets.js';
import { startBareUws } from '../perf/lib/upstream.ts';
import { measureServers } from './measure-server.ts';

/**
 * Bounds: what any gateway on this listener can do at most, relaying nothing. Collects the body, cuts id and text out of the call
 * and echoes them, as `perf/fixtures/http-upstream.ts` does; no header is read but by the library. `serve` prints the
 * port and stays.
 */
function serve(announce: (port: number) => void): void {
  App()
    .post('/*', (response) => {
      let body = '';
      response.onAborted(() => (body = ''));
      response.onData((chunk, isLast) => {
        body += Buffer.from(chunk).toString('latin1');
        if (isLast) response.cork(() => void response.writeHeader('content-type', 'application/json').end(answerTo(body)));
      });
    })
    .listen('127.0.0.1', 0, (socket) => {
      if (socket === false) throw new Error('no port to listen on');
      announce(us_socket_local_port(socket));
    });
}

function answerTo(body: string): string {
  const idAt = body.indexOf('"id":') + 5;
  const textAt = body.indexOf('"text":"') + 8;
  const [id, text] = [body.slice(idAt, body.indexOf(',', idAt)), body.slice(textAt, body.lastIndexOf('"'))];
  return `{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"${text}"}]}}`;
}

if (process.argv[2] === 'serve') {
  serve((port) => console.log(port));
  // Its parent is gone.
  process.stdin.on('end', () => process.exit()).resume();
} else await measureServers('bare µWS, one thread', async (bench) => [await startBareUws(bench)]);
