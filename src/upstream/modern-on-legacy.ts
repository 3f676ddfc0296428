import type { Envelope } from '../core/envelope.ts';
import { BAD_PARAMS, UPSTREAM_DOWN, UPSTREAM_INVALID } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { Health, InFlight, ReplySink, RequestOptions, Upstream, UpstreamInfo } from '../core/upstream.ts';
import { asModernError, asModernReply } from '../mcp/era-replies.ts';
import { asLegacyRequest } from '../mcp/era-requests.ts';
import { rpcResult } from '../mcp/messages.ts';
import { RELAYED_CAPABILITIES } from '../mcp/methods.ts';
import { DISCOVER, LISTEN } from '../mcp/modern-methods.ts';
import { isFailure, parseMessage } from '../mcp/parse.ts';
import { MODERN_REVISION } from '../mcp/revisions.ts';
import { splice } from '../mcp/splice.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';
import { LocalReply } from './local-reply.ts';
import { LOG_MESSAGE } from './rewrite.ts';

const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId';
const LIMITS = { maxDepth: 8, maxKeys: 16, maxStringBytes: 256 };

/**
 * Carries requests of revision 2026-07-28 to a server that speaks older revisions only, over the connection that all clients share
 * there: it is promised no abilities of theirs, so it asks them nothing. Answers get what the revision demands: complete,
 * not to be kept, and named. Nothing changes that a subscription could tell of.
 */
export class ModernOnLegacy {
  readonly #legacy: Upstream;
  #next = 0;

  constructor(legacy: Upstream) {
    this.#legacy = legacy;
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const { info } = this.#legacy;
    if (info === null) return UPSTREAM_DOWN;
    const idToken = message.bytes.toString('utf8', message.idStart, message.idEnd);
    if (message.method === DISCOVER) return new LocalReply(sink, rpcResult(idToken, discoverResult(info)));
    if (message.method === LISTEN) return new LocalReply(sink, rpcResult(idToken, listenResult(idToken, info)), acknowledgement(idToken));
    const ownId = `"modern-${(this.#next += 1)}"`;
    const legacy = asLegacyRequest(message, ownId);
    if (legacy === null) return BAD_PARAMS;
    return this.#send(legacy, ownId, options, new ModernSink(sink, message, idToken, info.serverInfo));
  }

  #send(message: Envelope, ownId: string, { restPath, principalKey }: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const flight = this.#legacy.request(message, { restPath, principalKey }, sink);
    if (isRefusal(flight)) return flight;
    return {
      detach: (whenOver) => {
        flight.detach(() => undefined);
        this.#cancel(ownId, restPath, principalKey);
        whenOver();
      },
      resume: () => flight.resume(),
    };
  }

  /** A client of the revision that leaves cancels; a server of the older ones has to be told so. */
  #cancel(ownId: string, restPath: string, principalKey: string): void {
    const text = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${ownId},"reason":"the client left"}}`;
    const message = parseMessage(Buffer.from(text), LIMITS);
    if (!isFailure(message)) this.#legacy.notify(message, { restPath, principalKey });
  }
}

class ModernSink implements ReplySink {
  readonly #sink: ReplySink;
  readonly #method: string;
  readonly #idToken: string;
  readonly #serverInfo: string;
  readonly #wantsLogs: boolean;

  constructor(sink: ReplySink, { method, modern }: Envelope, idToken: string, serverInfo: string) {
    this.#sink = sink;
    this.#method = method;
    this.#idToken = idToken;
    this.#serverInfo = serverInfo;
    this.#wantsLogs = (modern?.logLevelStart ?? -1) >= 0;
  }

  onStream(): void {
    this.#sink.onStream();
  }

  /** Who did not ask for log messages gets none. */
  onMessage(bytes: Buffer): boolean {
    if (!this.#wantsLogs && bytes.includes(LOG_MESSAGE)) return true;
    return this.#sink.onMessage(bytes);
  }

  onReply(bytes: Buffer, isError: boolean, code: number): void {
    if (isError) {
      const error = asModernError(bytes, code);
      return this.#sink.onReply(withId(error.bytes, this.#idToken), true, error.code);
    }
    const reply = asModernReply(bytes, this.#method, this.#serverInfo);
    if (reply === null) this.#sink.onFail(UPSTREAM_INVALID, 'answered with a result that is no object', 'alive');
    else this.#sink.onReply(withId(reply, this.#idToken), false, 0);
  }

  onFail(refusal: Refusal, detail: string, health?: Health): void {
    this.#sink.onFail(refusal, detail, health);
  }

  onCancelled(): void {
    this.#sink.onCancelled();
  }
}

function withId(reply: Buffer, idToken: string): Buffer {
  const message = scanUpstreamMessage(reply, { maxDepth: MAX_UPSTREAM_DEPTH });
  return message === null ? reply : splice(reply, [{ start: message.idStart, end: message.idEnd, text: idToken }]);
}

function discoverResult(info: UpstreamInfo): string {
  const capabilities = Object.fromEntries(RELAYED_CAPABILITIES.filter((name) => info.capabilities.has(name)).map((name) => [name, {}]));
  const head = JSON.stringify({ resultType: 'complete', supportedVersions: [MODERN_REVISION], capabilities }).slice(1, -1);
  const instructions = info.instructions === null ? '' : `,"instructions":${JSON.stringify(info.instructions)}`;
  return `{${head}${instructions},"ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":${info.serverInfo}}}`;
}

function acknowledgement(idToken: string): string {
  return `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{},"_meta":{"${SUBSCRIPTION}":${idToken}}}}`;
}

function listenResult(idToken: string, info: UpstreamInfo): string {
  return `{"resultType":"complete","_meta":{"${SUBSCRIPTION}":${idToken},"io.modelcontextprotocol/serverInfo":${info.serverInfo}}}`;
}
