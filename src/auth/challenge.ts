import { AUTH_MISSING } from '../core/errors.ts';
import type { RequestHead } from '../core/head.ts';
import type { Refusal } from '../core/refusal.ts';
import type { ProtectedResource } from './resource-metadata.ts';

/** A longer path is no server's: its challenge names the whole origin, so that nobody can choose the size of the answer's head. */
const MAX_PATH_CHARS = 1024;

/**
 * Value of `WWW-Authenticate` for a 401 (RFC 6750 section 3, RFC 9728 section 5.1). `error` only when a credential was
 * presented; which check it failed stays out.
 */
export function challenge(resource: ProtectedResource, head: RequestHead, refusal: Refusal): string {
  const path = head.path.length > MAX_PATH_CHARS ? '' : head.path;
  const parameters = [parameter('resource_metadata', resource.metadataUrl(head, path))];
  if (refusal !== AUTH_MISSING) parameters.push(parameter('error', 'invalid_token'));
  if (resource.scopes.length > 0) parameters.push(parameter('scope', resource.scopes.join(' ')));
  return `Bearer ${parameters.join(', ')}`;
}

/** A quoted-string (RFC 9110 section 5.6.4); what may not stand in one is left out, so that no header can be split. */
function parameter(name: string, value: string): string {
  return `${name}="${value.replace(/[^\x20-\x7e]/g, '').replace(/["\\]/g, '\\$&')}"`;
}
