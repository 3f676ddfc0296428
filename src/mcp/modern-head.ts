import type { Envelope } from '../core/envelope.ts';
import type { RequestHead } from '../core/head.ts';
import { encodeHeaderValue } from './header-value.ts';
import { nameSource } from './modern-methods.ts';

/** What of a head revision 2026-07-28 repeats from the body. */
export type ModernHeaders = Pick<RequestHead, 'protocolVersion' | 'mcpMethod' | 'mcpName'>;

/** Nothing in a message without these bytes claims that revision; an escaped key is none that its servers would have to know. */
const MARK = 'io.modelcontextprotocol/protocolVersion';

export function mayClaimModern(message: Buffer): boolean {
  return message.includes(MARK);
}

/** The headers that a message would have come with over HTTP: on other transports there are none to disagree with it. */
export function modernHeaders(message: Envelope): ModernHeaders {
  const source = nameSource(message.method);
  const subject = source === undefined ? null : message[source];
  return {
    protocolVersion: message.modern?.version ?? '',
    mcpMethod: message.method,
    mcpName: subject === null ? '' : encodeHeaderValue(subject),
  };
}
