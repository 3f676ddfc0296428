import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_INVALID } from '../core/errors.ts';
import type { ReplySink } from '../core/upstream.ts';
import { asModernError, asModernReply } from '../mcp/era-replies.ts';
import { splice } from '../mcp/splice.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';

/** How a server of an older revision answers a request of 2026-07-28: with what that revision demands, under the client's own id. */
export class ModernReply {
  /** Raw JSON. */
  readonly idToken: string;
  readonly #method: string;

  constructor({ method, bytes, idStart, idEnd }: Envelope) {
    this.idToken = bytes.toString('utf8', idStart, idEnd);
    this.#method = method;
  }

  deliver(sink: ReplySink, bytes: Buffer, isError: boolean, code: number, serverInfo: string): void {
    if (isError) {
      const error = asModernError(bytes, code);
      return sink.onReply(this.#withId(error.bytes), true, error.code);
    }
    const reply = asModernReply(bytes, this.#method, serverInfo);
    if (reply === null) sink.onFail(UPSTREAM_INVALID, 'answered with a result that is no object', 'alive');
    else sink.onReply(this.#withId(reply), false, 0);
  }

  #withId(reply: Buffer): Buffer {
    const message = scanUpstreamMessage(reply, { maxDepth: MAX_UPSTREAM_DEPTH });
    return message === null ? reply : splice(reply, [{ start: message.idStart, end: message.idEnd, text: this.idToken }]);
  }
}
