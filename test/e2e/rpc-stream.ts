import { request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { sseData, type JsonValue, type RpcOptions } from './http.ts';
import { waitUntil } from './wait.ts';

/** An answer that is still coming. */
export interface RpcStream {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** All that came. */
  text(): string;
  /** The `data` of the events so far. */
  events(): readonly JsonValue[];
  /** Waits for this many events and returns all that are there. */
  awaitEvents(count: number): Promise<readonly JsonValue[]>;
  /** Resolves at the end with how it came: `complete`, or `cut` when the connection broke. */
  readonly ended: Promise<'complete' | 'cut'>;
  /** Begins to read a stream that was opened paused. */
  read(): void;
  /** The client leaves. */
  leave(): void;
}

/** POSTs a message and returns as soon as the answer's head is there, to look at an event stream while it is written. */
export async function rpcStream(
  url: string,
  message: unknown,
  options: RpcOptions & { readonly isPaused?: boolean } = {},
): Promise<RpcStream> {
  const body = JSON.stringify(message);
  const headers: Record<string, string | undefined> = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'content-length': String(Buffer.byteLength(body)),
    ...(options.headers as Record<string, string> | undefined),
    ...options.headers,
    ...(options.key === undefined ? {} : { authorization: `Bearer ${options.key}` }),
  };
  const sent = request(url, { method: 'POST', headers, agent: false, signal: options.signal });
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    sent.on('response', resolve);
    sent.on('error', reject);
    sent.end(body);
  });
  return follow(response, () => sent.destroy(), options.isPaused === true);
}

function follow(response: IncomingMessage, leave: () => void, isPaused: boolean): RpcStream {
  let text = '';
  response.setEncoding('utf8');
  const read = (): void => void response.on('data', (piece: string) => (text += piece));
  if (!isPaused) read();
  response.on('error', () => undefined);
  const ended = new Promise<'complete' | 'cut'>((resolve) => response.on('close', () => resolve(response.complete ? 'complete' : 'cut')));
  // An event is there when its empty line is.
  const events = (): readonly JsonValue[] =>
    sseData(text.slice(0, text.lastIndexOf('\n\n') + 2)).map((data) => JSON.parse(data) as JsonValue);
  return {
    text: () => text,
    status: response.statusCode ?? 0,
    headers: response.headers,
    events,
    awaitEvents: async (count) => {
      await waitUntil(() => events().length >= count, { what: `${count} events`, describe: () => text });
      return events();
    },
    ended,
    read,
    leave,
  };
}
