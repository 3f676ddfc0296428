import type { UpstreamInfo } from '../core/upstream.ts';
import { rpcResult } from './messages.ts';
import { pickObjects } from './hello.ts';
import { RELAYED_CAPABILITIES, SESSION_CAPABILITIES } from './methods.ts';
import { negotiate } from './revisions.ts';

/**
 * The answer to a client's `initialize`, given by the gateway for the upstream behind it: what the upstream said of
 * itself, reduced to what the gateway relays. `requested` is the client's `protocolVersion`.
 */
export function initializeResult(info: UpstreamInfo, requested: string | null, idToken: string): string {
  const version = JSON.stringify(negotiate(requested));
  const instructions = info.instructions === null ? '' : `,"instructions":${JSON.stringify(info.instructions)}`;
  return rpcResult(
    idToken,
    `{"protocolVersion":${version},"capabilities":${capabilitiesOf(info)},"serverInfo":${info.serverInfo}${instructions}}`,
  );
}

/** The same in a session of the client's own: revision and options are what the upstream itself agreed to. */
export function sessionInitializeResult(info: UpstreamInfo, idToken: string): string {
  const instructions = info.instructions === null ? '' : `,"instructions":${JSON.stringify(info.instructions)}`;
  const capabilities = pickObjects(JSON.parse(info.capabilitiesJson), SESSION_CAPABILITIES);
  return rpcResult(
    idToken,
    `{"protocolVersion":"${info.protocolVersion}","capabilities":${capabilities},"serverInfo":${info.serverInfo}${instructions}}`,
  );
}

/** Without their options: list changes, subscriptions and logs are not relayed. */
function capabilitiesOf(info: UpstreamInfo): string {
  const relayed = RELAYED_CAPABILITIES.filter((capability) => info.capabilities.has(capability));
  return `{${relayed.map((capability) => `"${capability}":{}`).join(',')}}`;
}
