import type { RequestContext } from '../core/context.ts';
import { METHOD_NOT_ALLOWED, NOT_ACCEPTABLE, NOT_FOUND, TOO_MANY_IN_FLIGHT } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { isRefusal } from '../core/refusal.ts';
import { acceptsOf } from '../mcp/content.ts';
import { encodeSseEvent } from '../mcp/sse.ts';
import { admitConnection } from './admission.ts';
import { Conversation } from './conversation.ts';
import { whenExpired } from './expiry.ts';
import type { Parts } from './parts.ts';
import { PostedExchange } from './posted-exchange.ts';
import { headersOf, refuse, SSE_TYPE } from './reply.ts';
import { settle, settleGone } from './settle.ts';
import type { StandingStream } from './stream-book.ts';

const STREAM_PATH = '/sse';
export const MESSAGES_PATH: string = '/messages';
/** Below the idle limits of common proxies. */
const HEARTBEAT_MS = 15_000;
const COMMENT = ':\n\n';

export function isStreamPath(path: string): boolean {
  return path === STREAM_PATH || path.startsWith(`${STREAM_PATH}/`);
}

/**
 * `GET /sse`, `GET /sse/<server>`: the standing stream of revision 2024-11-05. Its first event names the address for the client's
 * messages, here at the gateway; then it carries every answer, until the client leaves.
 */
export function handleStream(parts: Parts, context: RequestContext, serve: (exchange: Exchange) => void): void {
  const { head } = context.exchange;
  context.methodLabel = 'sse';
  if (head.method !== 'GET') return refuse(parts, context, METHOD_NOT_ALLOWED);
  const below = head.path.slice(STREAM_PATH.length);
  admitConnection(parts, context, `/mcp${below}`, () => {
    if (!acceptsOf(head.accept).sse) return refuse(parts, context, NOT_ACCEPTABLE);
    stand(parts, context, (wire) => new Conversation(serve, head, below, { ...parts.settings, clock: parts.clock }, wire));
  });
}

type Begin = (wire: ConstructorParameters<typeof Conversation>[4]) => Conversation;

function stand(parts: Parts, context: RequestContext, begin: Begin): void {
  const { exchange, budgetKey: principalKey } = context;
  const id = parts.legacyStreams.newId();
  const over = (finish: () => void): void => {
    heartbeat.cancel();
    expiry?.cancel();
    parts.legacyStreams.remove(id);
    finish();
  };
  const conversation = begin({
    deliver: (message) => exchange.write(encodeSseEvent(Buffer.from(message))),
    end: () =>
      over(() => {
        if (context.isSettled) return;
        exchange.end();
        settle(parts, context);
      }),
  });
  if (!parts.legacyStreams.add(id, { conversation, principalKey })) return refuse(parts, context, TOO_MANY_IN_FLIGHT);
  const heartbeat = parts.clock.every(HEARTBEAT_MS, () => exchange.write(COMMENT));
  const expiry = whenExpired(parts.clock, context.principal?.notAfterMs ?? Number.POSITIVE_INFINITY, () => conversation.leave());
  exchange.onDrain = () => conversation.drained();
  exchange.onGone = () => {
    over(() => conversation.closed());
    settleGone(parts, context);
  };
  context.isStreaming = true;
  parts.load.streams += 1;
  context.status = 200;
  exchange.open(200, [...headersOf(parts, context, SSE_TYPE), 'x-accel-buffering', 'no'], context);
  exchange.write(`event: endpoint\ndata: ${MESSAGES_PATH}?sessionId=${id}\n\n`);
  if (parts.load.isDraining) conversation.leave();
}

/** The stream of this worker that a POST of its caller is for; null for anything else. Decides nothing: the POST is authenticated on its way. */
export function streamFor(parts: Parts, { head }: Exchange): StandingStream | null {
  const who = head.method === 'POST' ? parts.auth.tryNow(head, parts.clock.wallMs()) : null;
  if (who === null || isRefusal(who)) return null;
  return parts.legacyStreams.find(streamIdOf(head.query), parts.charges.budgetOf(who, head.clientIp).key);
}

export function streamIdOf(query: string): string {
  return new URLSearchParams(query).get('sessionId') ?? '';
}

/** `POST /messages`: the message goes the way of every POST, and its answer to the stream. */
export function postToStream(exchange: Exchange, { conversation }: StandingStream, serve: (exchange: Exchange) => void): void {
  serve(new PostedExchange(exchange, conversation));
}

/** A POST for a stream that is not there, or not the caller's: strangers learn that they are strangers, others that there is nothing. */
export function refusePosted(parts: Parts, context: RequestContext): void {
  context.methodLabel = 'messages';
  if (context.exchange.head.method !== 'POST') return refuse(parts, context, METHOD_NOT_ALLOWED);
  admitConnection(parts, context, '/', () => refuse(parts, context, NOT_FOUND));
}
