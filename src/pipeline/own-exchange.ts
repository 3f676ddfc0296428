import type { HeaderList } from '../core/exchange.ts';
import type { RequestHead } from '../core/head.ts';
import { MessageExchange, type MessageOutlet } from './message-exchange.ts';

const NO_HEADERS: HeaderList = [];
const NO_BODY: Buffer = Buffer.alloc(0);
const nobodyWaits = (): null => null;

/**
 * A request that a conversation makes for its session, which its client would make itself over HTTP: the standing stream (GET), the
 * end (DELETE). What comes on the stream is the client's; whether there is one is not.
 */
export class OwnExchange extends MessageExchange {
  constructor(head: RequestHead, method: 'GET' | 'DELETE', outlet: MessageOutlet) {
    super({ ...head, method, contentType: '', accept: 'text/event-stream' }, NO_BODY, outlet, nobodyWaits);
  }

  override send(status: number, _headers: HeaderList, _body: string | Uint8Array): void {
    super.send(status, NO_HEADERS, '');
  }
}
