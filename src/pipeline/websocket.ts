import type { RequestContext } from '../core/context.ts';
import { METHOD_NOT_ALLOWED, UPGRADE_REQUIRED } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { type MessageSocket, SOCKET_PATH, type SocketListener } from '../core/message-socket.ts';
import { admitConnection } from './admission.ts';
import { Conversation, type Ending } from './conversation.ts';
import type { Parts } from './parts.ts';
import { refuse } from './reply.ts';
import { settle } from './settle.ts';

const SWITCHING = 101;

/** RFC 6455 section 7.4.1. */
const UNSUPPORTED_DATA = 1003;
const CLOSE_CODES: Readonly<Record<Ending, number>> = { leaving: 1001, unauthorized: 1008, lost: 1011, overrun: 1008, fault: 1011 };
const CLOSE_TEXTS: Readonly<Record<Ending, string>> = {
  leaving: 'shutting down',
  unauthorized: 'credential not valid any more',
  lost: 'session lost',
  overrun: 'too many messages in progress',
  fault: 'internal error',
};

/** `GET /ws`, `GET /ws/<server>`: who calls is decided before the connection changes; then each frame is a message of its own. */
export function handleWebSocket(parts: Parts, context: RequestContext, serve: (exchange: Exchange) => void): void {
  const { exchange } = context;
  const { head } = exchange;
  context.methodLabel = 'websocket';
  if (head.method !== 'GET') return refuse(parts, context, METHOD_NOT_ALLOWED);
  const below = head.path.slice(SOCKET_PATH.length);
  admitConnection(parts, context, `/mcp${below}`, () => {
    if (exchange.upgrade === undefined) return refuse(parts, context, UPGRADE_REQUIRED);
    exchange.upgrade((socket) =>
      converse(parts, socket, (wire) => new Conversation(serve, head, below, { ...parts.settings, clock: parts.clock }, wire)),
    );
    context.status = SWITCHING;
    settle(parts, context);
  });
}

type Begin = (wire: ConstructorParameters<typeof Conversation>[4]) => Conversation;

function converse(parts: Parts, socket: MessageSocket, begin: Begin): SocketListener {
  const conversation = begin({
    deliver: (message) => socket.send(message),
    end: (why) => socket.close(CLOSE_CODES[why], CLOSE_TEXTS[why]),
  });
  parts.load.streams += 1;
  return {
    onMessage: (message) => {
      if (message === null) socket.close(UNSUPPORTED_DATA, 'messages are text');
      else conversation.receive(message);
    },
    onDrain: () => conversation.drained(),
    onLeaving: () => conversation.leave(),
    onClose: () => {
      parts.load.streams -= 1;
      conversation.closed();
    },
  };
}
