import type { Envelope } from '../core/envelope.ts';
import { BAD_PARAMS, UPSTREAM_INVALID } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InFlight, ReplySink, RequestOptions } from '../core/upstream.ts';
import { asLegacyReply } from '../mcp/era-replies.ts';
import { asModernRequest } from '../mcp/era-requests.ts';
import { gatewayMeta } from '../mcp/modern-request.ts';
import type { ModernSide } from './modern-side.ts';
import { PassingSink } from './passing-sink.ts';

/**
 * Carries requests of the older revisions to a server that speaks revision 2026-07-28 only: each gets the claims that it lacks, and
 * its answer loses what those revisions do not know. The client is not there to be asked anything, so that is what the server is told.
 */
export class LegacyOnModern {
  readonly #modern: ModernSide;
  readonly #meta: string;

  constructor(modern: ModernSide, gatewayVersion: string) {
    this.#modern = modern;
    this.#meta = gatewayMeta(gatewayVersion);
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const modern = asModernRequest(message, this.#meta);
    if (modern === null) return BAD_PARAMS;
    return this.#modern.request(modern, { ...options, modern: { params: 'from_body' } }, new LegacySink(sink));
  }
}

class LegacySink extends PassingSink {
  override onReply(bytes: Buffer, isError: boolean, code: number): void {
    const reply = isError ? bytes : asLegacyReply(bytes);
    if (reply === null) this.sink.onFail(UPSTREAM_INVALID, 'answered with something other than a complete result', 'alive');
    else this.sink.onReply(reply, isError, code);
  }
}
