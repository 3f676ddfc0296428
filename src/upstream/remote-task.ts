import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_DOWN, UPSTREAM_FAILED } from '../core/errors.ts';
import { refusalOf } from '../core/errors-by-code.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { TaskAnswer, TaskOrder, TaskRelay } from '../core/task-relay.ts';
import type { InFlight, ReplySink, RequestOptions, Upstream } from '../core/upstream.ts';
import { isFailure, type JsonLimits, parseMessage } from '../mcp/parse.ts';

/** What another worker sent has been checked. */
const LIMITS: JsonLimits = { maxDepth: Infinity, maxKeys: Infinity, maxStringBytes: Infinity };

/** A request about a task that another worker's child or connection has. Brief by its nature: who leaves just does not hear of it. */
export class RemoteTask implements InFlight {
  #sink: ReplySink | null;

  constructor(relay: TaskRelay, worker: number, order: TaskOrder, sink: ReplySink) {
    this.#sink = sink;
    relay.ask(worker, order, (answer) => this.#onAnswer(answer));
  }

  detach(whenOver: () => void): void {
    this.#sink = null;
    whenOver();
  }

  resume(): void {}

  #onAnswer(answer: TaskAnswer | null): void {
    const sink = this.#sink;
    this.#sink = null;
    if (answer === null) sink?.onFail(UPSTREAM_FAILED, 'the worker that has the task does not answer');
    else if ('refusal' in answer) sink?.onFail(refusalOf(answer.refusal) ?? UPSTREAM_FAILED, answer.detail);
    else sink?.onReply(Buffer.from(answer.bytes), answer.isError, answer.code);
  }
}

/** For a request that `options.modern.worker` says is another worker's. */
export function askForTask(
  relay: TaskRelay | null,
  server: string,
  { bytes }: Envelope,
  { restPath, principalKey, modern }: RequestOptions,
  sink: ReplySink,
): InFlight | Refusal {
  if (relay === null || modern?.worker === undefined) return UPSTREAM_DOWN;
  return new RemoteTask(relay, modern.worker, { server, restPath, principalKey, life: modern.life ?? '', bytes }, sink);
}

/** The other end: asks the server here. `done` is called once. */
export function serveTask(
  upstream: Upstream,
  { bytes, restPath, principalKey, life }: TaskOrder,
  done: (answer: TaskAnswer) => void,
): void {
  const message = parseMessage(Buffer.from(bytes), LIMITS);
  const fail = ({ code }: Refusal, detail: string): void => done({ refusal: code, detail });
  if (isFailure(message)) return fail(UPSTREAM_FAILED, 'another worker sent what is no request');
  const flight = upstream.request(
    message,
    { restPath, principalKey, modern: { params: null, life } },
    {
      onStream: () => undefined,
      onMessage: () => true,
      onReply: (reply, isError, code) => done({ bytes: reply, isError, code }),
      onFail: fail,
      onCancelled: () => fail(UPSTREAM_FAILED, 'cancelled'),
    },
  );
  if (isRefusal(flight)) fail(flight, upstream.detail ?? '');
}
