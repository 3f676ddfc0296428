import type { Envelope } from '../core/envelope.ts';
import { BAD_CLAIM, HEADER_MISMATCH, MODERN_METHOD_UNKNOWN, MODERN_RESPONSE, VERSION_UNSUPPORTED } from '../core/errors.ts';
import type { RequestHead } from '../core/head.ts';
import type { Refusal } from '../core/refusal.ts';
import { decodeHeaderValue, withoutEdgeSpace } from './header-value.ts';
import { isSoundClaim } from './modern-claim.ts';
import { fitsHeader, isModernMethod, nameSource } from './modern-methods.ts';
import { MODERN_REVISION } from './revisions.ts';

/** What a message with a claim or a header of the stateless revisions is. */
export type ModernVerdict = 'modern' | 'legacy' | Refusal;

/** Whether a message has to climb the ladder at all: cheap, for every request. */
export function touchesModern(head: RequestHead, message: Envelope): boolean {
  return message.modern !== null || head.protocolVersion === MODERN_REVISION;
}

/**
 * The decision ladder of revision 2026-07-28 for a single message: the earliest rung that is missed answers. The body says what a
 * message is, the headers have to agree with it.
 */
export function climb(head: RequestHead, message: Envelope): ModernVerdict {
  if (message.kind === 'response') return MODERN_RESPONSE;
  if (message.method === 'initialize' && !isModernInitialize(message)) {
    return head.protocolVersion === MODERN_REVISION ? HEADER_MISMATCH : 'legacy';
  }
  const refusal = message.kind === 'request' ? judgeRequest(head, message) : judgeNotification(head, message);
  return refusal ?? 'modern';
}

/** The handshake of the older revisions stays one, whatever half a claim it carries. */
function isModernInitialize(message: Envelope): boolean {
  return (message.modern?.version ?? '') >= MODERN_REVISION && isSoundClaim(message);
}

function judgeRequest(head: RequestHead, message: Envelope): Refusal | null {
  if (!isSoundClaim(message)) return BAD_CLAIM;
  const disagreement = disagreementOf(head, message);
  if (disagreement !== null) return disagreement;
  if (message.modern?.version !== MODERN_REVISION) return VERSION_UNSUPPORTED;
  if (head.protocolVersion === '' || head.mcpMethod === '' || !namesItsSubject(head, message)) return HEADER_MISMATCH;
  return isModernMethod(message.method) ? null : MODERN_METHOD_UNKNOWN;
}

/** Notifications need no claim and no headers; what they have must agree, and the name of the method must fit the header that repeats it upstream. */
function judgeNotification(head: RequestHead, message: Envelope): Refusal | null {
  const { modern } = message;
  if (modern !== null && modern.version === null) return BAD_CLAIM;
  const disagreement = disagreementOf(head, message);
  if (disagreement !== null) return disagreement;
  if (!fitsHeader(message.method)) return HEADER_MISMATCH;
  return modern === null || modern.version === MODERN_REVISION ? null : VERSION_UNSUPPORTED;
}

function disagreementOf({ protocolVersion, mcpMethod }: RequestHead, { modern, method }: Envelope): Refusal | null {
  if (modern !== null && protocolVersion !== '' && withoutEdgeSpace(protocolVersion) !== modern.version) return HEADER_MISMATCH;
  return mcpMethod !== '' && withoutEdgeSpace(mcpMethod) !== method ? HEADER_MISMATCH : null;
}

/** `Mcp-Name` repeats what the body is about, where the method has such a thing and the body names it. */
function namesItsSubject({ mcpName }: RequestHead, message: Envelope): boolean {
  const source = nameSource(message.method);
  if (source === undefined) return true;
  const named = message[source];
  if (named === null) return true;
  return mcpName !== '' && decodeHeaderValue(mcpName) === named;
}
