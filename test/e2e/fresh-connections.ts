import { connect } from 'node:net';

export interface FreshOptions {
  readonly port: number;
  readonly requests: number;
  /** Connections at a time. */
  readonly lanes: number;
  /** The whole request with this number, head and body. */
  readonly request: (index: number) => string;
  /** What the answer with this number must hold beside its status of 200. */
  readonly answer: (index: number) => string;
}

/** Requests without an agent, each on a connection of its own. @returns those that failed, as they were answered */
export async function freshConnections(options: FreshOptions): Promise<readonly string[]> {
  const failed: string[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < options.requests) {
      const index = next++;
      const text = await exchange(options.port, options.request(index));
      if (!text.startsWith('HTTP/1.1 200 ') || !text.includes(options.answer(index))) failed.push(`${index}: ${text}`);
    }
  };
  await Promise.all(Array.from({ length: options.lanes }, lane));
  return failed;
}

/** All that was answered until the other end closed, or why nothing was. */
function exchange(port: number, request: string): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    socket.on('connect', () => socket.write(request));
    socket.on('error', (error) => (text = `${error.message} after ${text}`));
    socket.on('close', () => resolve(text));
  });
}

/** A POST that asks for the connection to be closed. */
export function freshPost(path: string, headers: Readonly<Record<string, string>>, message: object): string {
  const body = JSON.stringify(message);
  const fields = {
    host: '127.0.0.1',
    connection: 'close',
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'content-length': String(Buffer.byteLength(body)),
    ...headers,
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}
