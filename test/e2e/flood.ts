import { connect } from 'node:net';

export interface FloodOptions {
  readonly port: number;
  readonly requests: number;
  readonly connections: number;
  /** The whole request with this number, head and body; its answer must have a `Content-Length` and keep the connection. */
  readonly request: (index: number) => string;
}

const HEAD_END = '\r\n\r\n';
const LENGTH = /\r\ncontent-length: *(\d+)/i;

/**
 * Many requests over few connections, one at a time on each, without the cost of an HTTP client.
 * @returns how many answers had each status
 */
export async function flood(options: FloodOptions): Promise<ReadonlyMap<number, number>> {
  const statuses = new Map<number, number>();
  let next = 0;
  const lane = async (): Promise<void> => {
    const socket = connect({ port: options.port, host: '127.0.0.1', noDelay: true });
    try {
      await new Promise<void>((resolve, reject) => {
        let text = '';
        const send = (): void => {
          if (next >= options.requests) return resolve();
          socket.write(options.request(next++));
        };
        socket.setEncoding('latin1').on('data', (piece: string) => {
          text += piece;
          const head = text.indexOf(HEAD_END);
          if (head < 0 || text.length < head + HEAD_END.length + Number(LENGTH.exec(text.slice(0, head + 2))?.[1] ?? 0)) return;
          const status = Number(text.slice('HTTP/1.1 '.length, 'HTTP/1.1 200'.length));
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
          text = '';
          send();
        });
        socket.on('connect', send).on('error', reject);
        socket.on('close', () => reject(new Error(`closed after ${next} requests: ${text}`)));
      });
    } finally {
      socket.destroy();
    }
  };
  await Promise.all(Array.from({ length: options.connections }, lane));
  return statuses;
}
