import type { Envelope } from '../core/envelope.ts';
import { METHOD_UNKNOWN } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InFlight, ReplySink, RequestOptions } from '../core/upstream.ts';
import type { UpstreamSession } from '../core/upstream-session.ts';

/** What lives in one worker and is reached from all, the way sessions are, but takes nothing but requests. */
export abstract class RequestOnlySession implements UpstreamSession {
  readonly agreement = null;
  readonly place = null;

  abstract request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal;

  notify(): Refusal {
    return METHOD_UNKNOWN;
  }

  respond(): Refusal {
    return METHOD_UNKNOWN;
  }

  listen(): Refusal {
    return METHOD_UNKNOWN;
  }

  cancelled(): void {}

  close(closed?: () => void): void {
    closed?.();
  }
}
