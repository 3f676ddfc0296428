import { expect } from 'vitest';
import {
  keyEntry,
  makeKey,
  rpc,
  startGateway,
  startHttpUpstream,
  stdioUpstream,
  type Gateway,
  type HttpAnswer,
  type HttpUpstream,
  type RpcOptions,
  type TestKey,
  type UpstreamAnswer,
  type UpstreamRequest,
} from './harness.ts';
import { recordsOf, type AuditLine } from './records.ts';

const CLOSING = new Set([
  'auth_failure',
  'authz_denied',
  'policy_denied',
  'rate_limited',
  'tool_response',
  'request',
  'request_refused',
  'upstream_error',
  'admin_action',
]);
const unlimited = { rate_limit: 10_000, burst: 10_000 };

export interface Asked {
  readonly answer: HttpAnswer;
  /** All records of the request, in order. */
  readonly records: readonly AuditLine[];
  /** The one that says how it ended. */
  readonly closing: AuditLine;
}

export type AskOptions = RpcOptions & { readonly url?: string };

/** A gateway with principals and upstreams for every way in which a request can end. */
export interface AuditedGateway {
  readonly gateway: Gateway;
  readonly upstream: HttpUpstream;
  /** `alice` may much, `bob` one request, `slow` all, `gone` has expired, `root` is an administrator. */
  readonly keys: Readonly<Record<'alice' | 'bob' | 'slow' | 'gone' | 'root', TestKey>>;
  /** Sends a message under a request id of its own, as alice unless told otherwise, and reads all that the trail says of it. */
  ask(message: unknown, options?: AskOptions): Promise<Asked>;
  /** The same for a request that was sent under this id. */
  recordedAs(id: string, answer: HttpAnswer): Promise<Asked>;
}

function answerOf({ message }: UpstreamRequest): UpstreamAnswer | undefined {
  const name = (message['params'] as { name?: string } | undefined)?.name;
  if (name === 'fail') return { body: { jsonrpc: '2.0', id: message['id'], error: { code: -32042, message: 'no such luck' } } };
  if (name === 'delayed') return { delayMs: 120, body: { jsonrpc: '2.0', id: message['id'], result: { content: [] } } };
  if (name === 'dropped') return { isDropped: true };
  if (name === 'silent') return { isSilent: true };
  return undefined;
}

function configOf(keys: AuditedGateway['keys'], upstream: HttpUpstream): Record<string, unknown> {
  const remote = { transport: 'http', url: upstream.url, allow_private_networks: true };
  return {
    auth: {
      api_keys: [
        keyEntry('alice', keys.alice, { ...unlimited, denied_tools: ['delete_*'], servers: ['files', 'dead', 'child'] }),
        keyEntry('bob', keys.bob, { rate_limit: 0.01, burst: 1 }),
        keyEntry('slow', keys.slow, unlimited),
        keyEntry('gone', keys.gone, { expires_at: '2020-01-01T00:00:00Z' }),
        keyEntry('root', keys.root, { roles: ['admin'], ...unlimited }),
      ],
    },
    policy: { tools: { deny: ['forbidden_*'] } },
    upstream: {
      servers: [
        { name: 'files', path_prefix: '/', ...remote, timeout_secs: 1 },
        { name: 'private', ...remote },
        { name: 'dead', transport: 'http', url: 'http://127.0.0.1:1/mcp', allow_private_networks: true, required: false },
        { name: 'child', ...stdioUpstream() },
      ],
    },
  };
}

export async function startAudited(): Promise<AuditedGateway> {
  const keys = { alice: makeKey(), bob: makeKey(), slow: makeKey(), gone: makeKey(), root: makeKey() };
  const upstream = await startHttpUpstream({ answer: answerOf });
  const gateway = await startGateway({ config: configOf(keys, upstream) });
  let count = 0;
  const recordedAs = async (id: string, answer: HttpAnswer): Promise<Asked> => {
    const records = await recordsOf(gateway, id, keys.alice.key);
    const closing = records.filter((record) => CLOSING.has(String(record['event_type'])));
    expect(closing).toHaveLength(1);
    expect(records.at(-1)).toBe(closing[0]);
    return { answer, records, closing: closing[0] as AuditLine };
  };
  const ask = async (message: unknown, options: AskOptions = {}): Promise<Asked> => {
    const id = `asked-${++count}`;
    const headers = { ...options.headers, 'x-request-id': id };
    return await recordedAs(id, await rpc(options.url ?? gateway.mcp, message, { key: keys.alice.key, ...options, headers }));
  };
  return { gateway, upstream, keys, ask, recordedAs };
}
