import type { Application, Exchange } from '../core/exchange.ts';
import { isSocketPath } from '../core/message-socket.ts';
import type { PostAnswer, PostRelay, RelayedPost } from '../core/post-relay.ts';
import type { Refusal } from '../core/refusal.ts';
import { handleEndpoint } from './endpoints.ts';
import { guarded } from './guarded.ts';
import { handleMcp } from './handle.ts';
import { handleStream, isStreamPath, MESSAGES_PATH, postToStream, refusePosted, streamFor } from './legacy-sse.ts';
import type { Parts } from './parts.ts';
import { RelayedExchange, relayPost } from './post-relay.ts';
import { isMcpPath, refuse } from './reply.ts';
import { begin } from './settle.ts';
import { handleWebSocket } from './websocket.ts';

/** What the listeners serve, and what other workers hand over. */
export interface Served extends Application {
  /** A POST for a stream of this worker that another one took. `done` is called once. */
  handleRelayed(post: RelayedPost, done: (answer: PostAnswer) => void): void;
}

type Serve = (exchange: Exchange) => void;

/** MCP paths walk `handle.ts`, other ways in end there too, the rest are endpoints of the gateway itself. `relay`: null without other workers. */
export function createApplication(parts: Parts, relay: PostRelay | null): Served {
  const serve = (exchange: Exchange): void => {
    const context = begin(parts, exchange);
    const { head } = exchange;
    guarded(parts, context, () => {
      if (head.entrance === 'main' && isMcpPath(head.path)) handleMcp(parts, context);
      else if (isSocket(parts, exchange)) handleWebSocket(parts, context, serve);
      else if (isStream(parts, exchange)) handleStream(parts, context, serve);
      else if (isPosted(parts, exchange)) refusePosted(parts, context);
      else handleEndpoint(parts, context);
    });
  };
  return {
    handle: (exchange) => (isPosted(parts, exchange) ? handlePosted(parts, exchange, relay, serve) : serve(exchange)),
    handleRelayed: (post, done) => handlePosted(parts, new RelayedExchange(post, done), null, serve),
    refuse(exchange: Exchange, refusal: Refusal): void {
      refuse(parts, begin(parts, exchange), refusal);
    },
  };
}

function handlePosted(parts: Parts, exchange: Exchange, relay: PostRelay | null, serve: Serve): void {
  const stream = streamFor(parts, exchange);
  if (stream !== null) return postToStream(exchange, stream, serve);
  if (relay === null || !relayPost(parts, exchange, relay)) serve(exchange);
}

function isSocket({ settings }: Parts, { head }: Exchange): boolean {
  return settings.isWebSocketEnabled && head.entrance === 'main' && isSocketPath(head.path);
}

function isStream({ settings }: Parts, { head }: Exchange): boolean {
  return settings.isSseEnabled && head.entrance === 'main' && isStreamPath(head.path);
}

function isPosted({ settings }: Parts, { head }: Exchange): boolean {
  return settings.isSseEnabled && head.entrance === 'main' && head.path === MESSAGES_PATH;
}
